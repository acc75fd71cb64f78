// What the suites of Azure's SDKs share: registered devices, and what arrives of their telemetry.
'use strict';
const fs = require('fs');
const mqtt = require('mqtt');
const { Message } = require('azure-iot-device');
const { Queue, check, makeCertificate, within } = require('./hub.js');

// All telemetry goes to a topic, where a plain client hears it.
async function watchTelemetry(hub) {
  const document = { schema: 'kante.deployment/1', id: 'interop', version: 1, modules: {},
    routes: { seen: 'FROM /messages/* INTO MqttTopic("seen/{$connectionDeviceId}")' } };
  fs.writeFileSync('deployment.json', JSON.stringify(document));
  hub.command('deploy', 'apply', 'deployment.json');
  return listen();
}
async function listen() {
  const seen = new Queue();
  const client = mqtt.connect('mqtt://127.0.0.1:1883', { protocolVersion: 5, clientId: 'watcher', reconnectPeriod: 200 });
  client.on('message', (topic, payload, packet) => seen.push({ topic, body: payload.toString(), packet }));
  await within('the watcher', new Promise((done) => client.once('connect', done)));
  await within('its subscription', client.subscribeAsync('seen/#', { qos: 1 }));
  return { next: (what) => seen.next(what), end: () => client.end(true) };
}

// How a device proves itself: its connection string, and what its client has to be told besides.
function register(hub, id, how) {
  if (how === 'SAS') return { text: hub.json('device', 'add', id).connection_string, options: {} };
  const own = makeCertificate(id, id, how === 'X.509 CA' ? 'fleet' : undefined);
  if (how === 'X.509 CA') hub.json('device', 'add', id, '--ca');
  else hub.json('device', 'add', id, '--x509', `${id}.pem`);
  return { text: `HostName=localhost;DeviceId=${id};x509=true`, options: own };
}

async function open(Client, hub, { text, options }, Transport, more = {}) {
  const client = Client.fromConnectionString(text, Transport);
  client.on('error', (error) => process.stderr.write(`client: ${error}\n`));
  // Over HTTPS it says that it is done only for some options, and a certificate makes it forget the CA.
  if (more.http && options.cert) void client.setOptions(options);
  await within('the options', client.setOptions({ ca: hub.ca, ...(more.http ? {} : options), ...more }));
  await within(`${text.replace(/SharedAccessKey=.*/, '…')} to come in`, client.open());
  return client;
}

function message(body, properties = {}) {
  const out = new Message(body);
  for (const [name, value] of Object.entries(properties)) out.properties.add(name, value);
  return out;
}

// A message with all that a device may say of it, and that it has arrived so.
async function telemetry(name, client, id, watcher) {
  const said = message('{"t":21}', { site: 'München', 'a b': 'c&d=e/f', empty: '' });
  said.contentType = 'application/json';
  said.contentEncoding = 'utf-8';
  said.messageId = 'm-1';
  said.correlationId = 'c-1';
  await within(`${name}: telemetry`, client.sendEvent(said));
  let got;
  do got = await watcher.next(`${name}: its telemetry`); while (got.topic !== `seen/${id}`);  // What others sent again.
  const { body, packet } = got;
  check(body === '{"t":21}', `${name}: telemetry arrives`);
  return packet.properties;
}

module.exports = { listen, message, open, register, telemetry, watchTelemetry };
