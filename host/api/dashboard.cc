// Long because: it holds one HTML page as text.
//
// The dashboard: static, self-contained, no outside resources; it asks /v1/status, /v1/routes,
// /v1/queues and follows /v1/events.  Everything a module or a device wrote is set as text, never
// as markup.
#include <string_view>

#include "host/api/endpoints.h"
#include "host/api/router.h"

namespace kante {
namespace {

constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src "
    "'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr std::string_view kPage = R"html(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Kante</title>
<style>
:root {
  --ground: #f6f7f9; --card: #ffffff; --ink: #1b2430; --dim: #667080; --line: #dfe3e8;
  --good: #14804a; --warn: #a15c00; --bad: #c0262d; --bar: #3b76d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161c; --card: #1a2029; --ink: #e4e8ee; --dim: #93a0b0; --line: #2b3440;
    --good: #4cc38a; --warn: #e5a03c; --bad: #ff6b70; --bar: #6ea2ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; background: var(--ground); color: var(--ink);
       font: 15px/1.45 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; margin-bottom: 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: .8rem; margin: 0 0 .6rem; color: var(--dim); text-transform: uppercase; letter-spacing: .06em; }
.dim { color: var(--dim); }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
          margin-bottom: 1rem; overflow-x: auto; }
.cards section { margin: 0; }
.cards { margin-bottom: 1rem; }
.big { font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--dim); font-size: .85rem; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; }
td.text { white-space: normal; overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: .85rem; }
.problem { border-left: 4px solid var(--warn); } .problem.fail { border-left-color: var(--bad); }
meter { width: 100%; height: .7rem; }
#lost { display: none; background: var(--bad); color: #fff; padding: .5rem 1rem; border-radius: .4rem; margin-bottom: 1rem; }
</style>
<div id="lost" role="alert">This page has lost the gateway; it goes on trying.</div>
<header><h1 id="gateway">Kante</h1><span id="about" class="dim"></span></header>
<div id="problems"></div>
<div class="cards">
  <section><h2>Deployment</h2><div class="big" id="deployment">–</div><div id="deployment-more" class="dim"></div></section>
  <section><h2>Uplink</h2><div class="big" id="uplink">–</div><div id="uplink-more" class="dim"></div></section>
  <section><h2>Store</h2><div class="big" id="store">–</div><meter id="fill" min="0" max="1" high="0.9"></meter></section>
  <section><h2>Dropped</h2><div class="big" id="dropped">–</div><div id="dropped-more" class="dim"></div></section>
</div>
<section><h2>Modules</h2><table id="modules"></table></section>
<section><h2>Routes</h2><table id="routes"></table></section>
<section><h2>Queues</h2><table id="queues"></table></section>
<section><h2>Events</h2><table id="events"></table></section>
<script>
"use strict";
const EVENTS_SHOWN = 50;
const $ = id => document.getElementById(id);
const good = new Set(["running", "connected", "committed"]);
const bad = new Set(["failed", "disconnected"]);
const tone = state => good.has(state) ? "good" : bad.has(state) ? "bad" : "warn";

function count(n) {
  if (n < 1000) return Number.isInteger(n) ? String(n) : n.toFixed(1);
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]])
    if (n >= size) return (n / size).toFixed(n / size < 10 ? 2 : 1) + unit;
}
function bytes(n) { return n < 1000 ? n + " B" : count(n).replace("k", " k").replace("M", " M").replace("G", " G") + "B"; }
function age(s) {
  if (s < 60) return Math.floor(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}
function set(id, text, kind) { $(id).textContent = text; $(id).className = ("big " + (kind || "")).trim(); }
function say(id, text) { $(id).textContent = text; }

// columns: [title, row => text, class of the cell or row => class]
function table(id, columns, rows, none) {
  const out = document.createDocumentFragment();
  const head = document.createElement("tr");
  for (const [title, , kind] of columns) {
    const cell = document.createElement("th");
    cell.textContent = title;
    if (kind === "n") cell.className = "n";
    head.append(cell);
  }
  if (rows.length) out.append(head);
  for (const row of rows) {
    const line = document.createElement("tr");
    for (const [, text, kind] of columns) {
      const cell = document.createElement("td");
      cell.textContent = text(row) ?? "";
      cell.className = typeof kind === "function" ? kind(row) : kind || "";
      line.append(cell);
    }
    out.append(line);
  }
  if (!rows.length) {
    const line = document.createElement("tr");
    const cell = document.createElement("td");
    cell.className = "dim";
    cell.textContent = none;
    line.append(cell);
    out.append(line);
  }
  $(id).replaceChildren(out);
}

function showProblems(problems) {
  $("problems").replaceChildren(...problems.map(problem => {
    const box = document.createElement("section");
    box.className = "problem " + problem.severity;
    const hint = document.createElement("div");
    hint.className = "dim";
    hint.textContent = "→ " + problem.hint;
    box.append(problem.text, hint);
    return box;
  }));
}

let before = null;
function rates(module, key, at) {
  const old = before?.modules.get(module.name);
  if (!old || at === before.at) return 0;
  return Math.max(0, module[key] - old[key]) / (at - before.at);
}

function showStatus(status) {
  const at = performance.now() / 1000;
  document.title = status.gateway + " · Kante";
  say("gateway", status.gateway);
  say("about", "kante " + status.version + ", up " + age(status.uptime_s));
  showProblems(status.problems);
  const { deployment, uplink, store } = status;
  set("deployment", deployment.id ? deployment.id + " v" + deployment.version : "none", "");
  say("deployment-more", deployment.state + (deployment.reason ? ": " + deployment.reason : ""));
  set("uplink", uplink.kind === "none" ? "none" : uplink.state, uplink.kind === "none" ? "dim" : tone(uplink.state));
  say("uplink-more", uplink.kind === "none" ? "" :
      count(uplink.seq) + " sent, backlog " + count(uplink.backlog_messages) + " (" + bytes(uplink.backlog_bytes) + ")");
  set("store", bytes(store.bytes) + " of " + bytes(store.max_bytes), "");
  $("fill").value = store.max_bytes ? store.bytes / store.max_bytes : 0;
  const drops = Object.entries(status.dropped).filter(([, n]) => n > 0);
  const all = drops.reduce((sum, [, n]) => sum + n, 0);
  set("dropped", all ? count(all) : "none", all ? "warn" : "good");
  say("dropped-more", drops.map(([reason, n]) => reason + " " + count(n)).join(", "));
  table("modules", [
    ["Module", m => m.name],
    ["State", m => m.state, m => tone(m.state)],
    ["Version", m => m.version],
    ["Placement", m => m.placement],
    ["Up", m => m.started && m.state === "running" ? age((Date.now() - Date.parse(m.started)) / 1000) : "", "n"],
    ["In/s", m => count(Math.round(rates(m, "messages_in", at) * 10) / 10), "n"],
    ["Out/s", m => count(Math.round(rates(m, "messages_out", at) * 10) / 10), "n"],
    ["Queued", m => count(m.queued), "n"],
    ["Restarts", m => m.restarts, "n"],
  ], status.modules, "Nothing is deployed yet.");
  before = { at, modules: new Map(status.modules.map(m => [m.name, m])) };
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer.json();
}

async function look() {
  try {
    const [status, routes, queues] = await Promise.all([get("v1/status"), get("v1/routes"), get("v1/queues")]);
    showStatus(status);
    table("routes", [["Route", r => r.name], ["Messages", r => count(r.messages), "n"],
                     ["Dropped", r => count(r.dropped), "n"], ["", r => r.route, "text"]],
          routes, "No routes.");
    table("queues", [["Queue", q => q.name], ["Messages", q => count(q.messages), "n"],
                     ["Bytes", q => bytes(q.bytes), "n"], ["Oldest", q => q.messages ? age(q.oldest_s) : "", "n"]],
          queues, "Nothing waits on disk.");
    $("lost").style.display = "none";
  } catch {
    $("lost").style.display = "block";
  }
  setTimeout(look, document.hidden ? 10000 : 2000);
}

const events = [];
const source = new EventSource("v1/events?last=" + EVENTS_SHOWN);
source.onmessage = message => {
  events.unshift(JSON.parse(message.data));
  events.length = Math.min(events.length, EVENTS_SHOWN);
  table("events", [
    ["Time", e => new Date(e.time).toLocaleString(), "dim"],
    ["Kind", e => e.kind, e => e.level === "error" ? "bad" : e.level === "warn" ? "warn" : ""],
    ["About", e => e.subject],
    ["", e => e.text, "text"],
  ], events, "");
};
look();
</script>
</html>
)html";

}  // namespace

void addDashboard(Router& router) {
  router.add(HttpMethod::kGet, "/", Audience::kReaders, BodyRule::none(),
             [](const ExchangePtr& exchange) {
               HttpResponse response;
               response.content_type = "text/html; charset=utf-8";
               response.headers = {{"Content-Security-Policy", kPolicy},
                                   {"Referrer-Policy", "no-referrer"}};
               response.body = std::string(kPage);
               exchange->respond(std::move(response));
             });
}

}  // namespace kante
