// The endpoints of the API, a function a family: each adds its routes and borrows what it serves,
// which outlives the router.  All run on the control thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace kante {

class EventLog;
class Log;
class ModuleHost;
class Router;

// /v1/modules, /v1/modules/NAME/{logs,restart,stop,start}, /v1/routes
void addModuleEndpoints(Router& router, ModuleHost& modules, Log& log,
                        boost::asio::io_context& control);
// /v1/events
void addEventEndpoints(Router& router, EventLog& events);

}  // namespace kante
