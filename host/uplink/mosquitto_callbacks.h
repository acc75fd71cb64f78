// What libmosquitto calls from within our own calls to it, so on the client's thread.
#pragma once

struct mosquitto;
struct mosquitto_message;
struct mqtt5__property;

namespace kante {

class MosquittoClient;

struct MosquittoCallbacks {
  static void install(struct mosquitto* client);

 private:
  static MosquittoClient& of(void* self);
  static void connect(struct mosquitto*, void* self, int code, int,
                      const mqtt5__property* properties);
  static void refused(MosquittoClient& client, int code, const mqtt5__property* properties);
  static void limits(MosquittoClient& client, const mqtt5__property* properties);
  static void disconnect(struct mosquitto*, void* self, int code, const mqtt5__property*);
  static void published(struct mosquitto*, void* self, int packet, int code,
                        const mqtt5__property*);
  static void message(struct mosquitto*, void* self, const mosquitto_message* message,
                      const mqtt5__property* properties);
  static void log(struct mosquitto*, void* self, int level, const char* text);
};

}  // namespace kante
