// MQTT.js of both versions over TCP, TLS, WebSocket and secure WebSocket: every QoS both ways, large
// messages, retained ones, wills, sessions over a lost connection, properties; and devices by key,
// token and certificate.
'use strict';
const mqtt = require('mqtt');
const WebSocket = require('ws');
const { Hub, Queue, check, makeCertificate, suite, until, within } = require('./hub.js');

const WAYS = { TCP: 'mqtt://127.0.0.1:1883', TLS: 'mqtts://localhost:8883', WebSocket: 'ws://127.0.0.1:80/mqtt',
  'secure WebSocket': 'wss://localhost:443/$iothub/websocket' };
const hub = new Hub();

class Client {
  constructor(way, options) {
    this.messages = new Queue();
    const url = WAYS[way];
    this.client = mqtt.connect(url, { ca: hub.ca, reconnectPeriod: 0, connectTimeout: 60_000, ...options });
    this.client.on('message', (topic, payload, packet) => this.messages.push({ topic, payload: payload.toString(), packet }));
    this.connected = new Promise((done, failed) => {
      this.client.once('connect', done);
      this.client.once('error', failed);
    });
    this.connected.catch(() => {});
    this.closed = new Promise((done) => this.client.once('close', done));
  }
  async up(what) { return within(what || 'a connection', this.connected).then(() => this); }
  subscribe(topic, qos) { return within(`SUBACK for ${topic}`, this.client.subscribeAsync(topic, { qos })); }
  publish(topic, payload, options) { return within(`PUBACK for ${topic}`, this.client.publishAsync(topic, payload, options)); }
  async next() { return this.messages.next('a message'); }
  end() { return within('the end of a client', this.client.endAsync()); }
}

async function exchange(way, version) {
  const who = { protocolVersion: version };
  const name = `MQTT ${version === 5 ? '5.0' : '3.1.1'} over ${way}`;
  const receiver = await new Client(way, { ...who, clientId: 'receiver' }).up(name);
  const sender = await new Client(way, { ...who, clientId: 'sender' }).up(name);
  for (const qos of [0, 1, 2]) {
    const granted = await receiver.subscribe(`order/${qos}`, qos);
    check(granted[0].qos === qos, `${name}: SUBACK grants QoS ${qos}`);
    const sent = [];
    for (let i = 0; i < 200; ++i) sent.push(sender.publish(`order/${qos}`, String(i), { qos }));
    await Promise.all(sent);
    for (let i = 0; i < 200; ++i) {
      const got = await receiver.next();
      if (got.payload !== String(i)) check(false, `${name}: message ${i} of QoS ${qos} in order, not ${got.payload}`);
    }
    check(true, `${name}: 200 messages of QoS ${qos} once and in order`);
  }
  // Over the largest frame of two length bytes, and in several reads.
  const large = 'l'.repeat(500_000);
  await sender.publish('order/1', large, { qos: 1 });
  check((await receiver.next()).payload === large, `${name}: half a megabyte arrives whole`);
  await sender.publish('order/1', '', { qos: 1 });
  check((await receiver.next()).payload === '', `${name}: so does nothing at all`);
  await sender.end();
  await receiver.end();
}

async function keeps(way, version) {
  const name = `MQTT ${version === 5 ? '5.0' : '3.1.1'} over ${way}`;
  const who = { protocolVersion: version };
  const watcher = await new Client(way, { ...who, clientId: 'watcher' }).up(name);
  await watcher.subscribe('wills/#', 1);
  const lost = await new Client(way, { ...who, clientId: 'lost',
    will: { topic: 'wills/lost', payload: 'gone', qos: 1, retain: false } }).up(name);
  lost.client.stream.destroy();
  check((await watcher.next()).payload === 'gone', `${name}: whoever vanishes leaves a will`);
  const polite = await new Client(way, { ...who, clientId: 'polite',
    will: { topic: 'wills/polite', payload: 'gone', qos: 1, retain: false } }).up(name);
  await polite.end();
  await watcher.publish('wills/last', 'last', { qos: 1 });
  check((await watcher.next()).payload === 'last', `${name}: whoever says goodbye leaves none`);

  await watcher.publish('kept/1', way, { qos: 1, retain: true });
  const late = await new Client(way, { ...who, clientId: 'late' }).up(name);
  await late.subscribe('kept/+', 1);
  const kept = await late.next();
  check(kept.payload === way && kept.packet.retain, `${name}: a retained message waits`);
  await late.end();

  const session = { ...who, clientId: 'session', clean: false,
    ...(version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}) };
  const first = await new Client(way, session).up(name);
  await first.subscribe('away', 1);
  first.client.stream.destroy();
  await within('a lost connection', first.closed);
  for (let i = 0; i < 5; ++i) await watcher.publish('away', String(i), { qos: 1 });
  const again = new Client(way, session);
  const connack = await within(name, again.connected);
  check(connack.sessionPresent, `${name}: a session is there again`);
  for (let i = 0; i < 5; ++i) check((await again.next()).payload === String(i), `${name}: it has message ${i}`);
  await again.end();
  await watcher.end();
}

async function properties(way) {
  const name = `MQTT 5.0 over ${way}`;
  const both = await new Client(way, { protocolVersion: 5, clientId: 'p' }).up(name);
  await within('SUBACK', both.client.subscribeAsync('props', { qos: 1, properties: { subscriptionIdentifier: 7 } }));
  await both.publish('props', 'x', { qos: 1, properties: { contentType: 'text/plain', responseTopic: 'answers',
    correlationData: Buffer.from('id-1'), userProperties: { a: ['1', '2'], b: 'ü' }, messageExpiryInterval: 60 } });
  const { properties: got } = (await both.next()).packet;
  check(got.contentType === 'text/plain' && got.responseTopic === 'answers' && got.correlationData.toString() === 'id-1' &&
    JSON.stringify(got.userProperties) === JSON.stringify({ a: ['1', '2'], b: 'ü' }) && got.messageExpiryInterval <= 60 &&
    got.subscriptionIdentifier === 7, `${name}: properties arrive as they were`);
  await both.end();
}

async function devices() {
  const added = hub.json('device', 'add', 'car-1');
  const key = added.authentication.symmetricKey.primaryKey;
  const token = hub.command('device', 'sas', 'car-1').trim();
  const own = makeCertificate('car-2', 'car-2');
  hub.json('device', 'add', 'car-2', '--x509', 'car-2.pem');
  const fleet = makeCertificate('car-3', 'car-3', 'fleet');
  hub.json('device', 'add', 'car-3', '--ca');
  for (const way of ['TLS', 'secure WebSocket']) {
    for (const [what, id, options] of [
      ['its key', 'car-1', { username: 'car-1', password: key }],
      ['a token', 'car-1', { username: 'car-1', password: token }],
      ['its own certificate', 'car-2', { username: 'car-2', ...own }],
      ["one of the fleet's CA", 'car-3', fleet]]) {
      const car = await new Client(way, { clientId: `${id}-x`, ...options }).up();
      await car.subscribe(`devices/${id}/x`, 1);
      await car.publish(`devices/${id}/x`, 'hello', { qos: 1 });
      check((await car.next()).payload === 'hello', `over ${way} a device comes in with ${what}`);
      await car.end();
    }
    const stranger = new Client(way, { clientId: 'x', username: 'car-1', password: 'bm90IHRoZSBrZXk=' });
    const refused = await within('a refusal', stranger.connected.then(() => null, (error) => error));
    check(refused && (refused.code === 4 || refused.code === 5), `over ${way} a wrong key is refused`);
    stranger.client.end(true);
  }
}

async function endings() {
  const opens = (url, protocol, options) => within('an answer', new Promise((done) => {
    const socket = new WebSocket(url, protocol, options);
    socket.on('open', () => { socket.terminate(); done(101); });
    socket.on('unexpected-response', (_, response) => { response.destroy(); done(response.statusCode); });
    socket.on('error', () => {});
  }));
  check(await opens('ws://127.0.0.1/mqtt', ['AMQPWSB10', 'mqtt']) === 101, 'a WebSocket is open for MQTT');
  check(await opens('ws://127.0.0.1/elsewhere', 'mqtt') === 404, 'there is none elsewhere');
  check(await opens('ws://127.0.0.1/mqtt', 'AMQPWSB10') === 400, 'nor for AMQP');
  check(await opens('ws://127.0.0.1/mqtt', undefined) === 400, 'nor for nothing');
  const page = (origin) => new Client('WebSocket', { clientId: 'page', wsOptions: { origin } }).connected.then(
    () => true, () => false);
  check(await within('a page', page('http://localhost:8080')), 'a page of this machine is one of its programs');
  check(!await within('a page', page('http://elsewhere.example')), 'one of elsewhere is not');
  const before = hub.status().hub.connections;
  const client = await new Client('WebSocket', { clientId: 'kept-alive', keepalive: 1 }).up();
  await client.subscribe('still/there', 1);
  await new Promise((done) => { // Answers to its pings keep it.
    let pings = 0;
    client.client.on('packetreceive', (packet) => { if (packet.cmd === 'pingresp' && ++pings === 3) done(); });
  });
  check(client.client.connected, 'a keep-alive of a second holds over WebSocket');
  await client.end();
  await until('all connections to be gone', () => hub.status().hub.connections <= before);
  check(true, 'no connection is left behind');
}

suite(async () => {
  await hub.start();
  for (const way of Object.keys(WAYS)) {
    for (const version of [4, 5]) {
      await exchange(way, version);
      await keeps(way, version);
    }
    await properties(way);
  }
  await devices();
  await endings();
  await hub.stop();
});
