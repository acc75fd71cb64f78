// azure-iot-device over MQTT and MQTT-WS, as device by SAS, X.509 thumbprint and X.509 CA and as
// module: telemetry, twins, methods and cloud-to-device messages both ways, an end of the host, and
// tokens that are renewed.
'use strict';
const { Client, ModuleClient } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { Hub, Queue, check, suite, until, within } = require('./hub.js');
const { listen, message, open, register, telemetry, watchTelemetry } = require('./azure.js');

const WAYS = { 'MQTT': Mqtt, 'MQTT-WS': MqttWs };
const hub = new Hub();
let watcher;

const twin = (id) => hub.json('twin', 'get', `device/${id}`);
const desire = (id, patch) => hub.command('twin', 'patch', `device/${id}`, JSON.stringify(patch));

async function twins(name, client, id) {
  desire(id, { max: 80, deep: { a: 1 } });
  const own = await within(`${name}: its twin`, client.getTwin());
  check(own.properties.desired.max === 80 && own.properties.desired.deep.a === 1, `${name}: reads what is desired`);
  const changed = new Queue();
  own.on('properties.desired', (patch) => changed.push(patch));
  await changed.next(`${name}: what it has`);  // The SDK says at once what it knows.
  const said = (patch) => within(`${name}: an answer to its report`, new Promise((done) => {
    own.properties.reported.update(patch, done);
  }));
  const report = async (patch) => { const error = await said(patch); if (error) check(false, `${name}: reports: ${error}`); };
  await report({ firmware: '1.2', deep: { b: 2 } });
  check(twin(id).reported.firmware === '1.2', `${name}: reports`);
  await report({ firmware: null });
  check(!('firmware' in twin(id).reported), `${name}: takes back what it reported`);
  check(await said({ 'a.b': 1 }) instanceof Error, `${name}: a name that no twin may have is refused`);
  desire(id, { max: 90 });
  const patch = await changed.next(`${name}: a change`);
  check(patch.max === 90 && Number.isInteger(patch.$version), `${name}: hears of a change`);
}

async function methods(name, client, target, on) {
  on.call(client, 'reset', (request, response) => {
    response.send(request.payload.hard ? 500 : 200, { was: request.payload }, () => {});
  });
  // Its subscription is on its way.
  const called = (payload) => hub.ask('invoke', target, 'reset', payload);
  const answer = await until(`${name}: its method`, async () => {
    const got = await called('{"hard":false}');
    return got.status === 200 && got;
  });
  check(answer.status === 200 && answer.payload.was.hard === false, `${name}: a method is called and answered`);
  check((await called('{"hard":true}')).status === 500, `${name}: its status is its own`);
}

async function cloud(name, client, id) {
  hub.command('send', `device/${id}`, 'before', '--property', 'kind=early');  // Nobody listens yet: it waits.
  const got = new Queue();
  client.on('message', (one) => client.complete(one, () => got.push(one)));
  const early = await got.next(`${name}: what waited for it`);
  check(early.getData().toString() === 'before' && early.properties.getValue('kind') === 'early', `${name}: has what waited`);
  hub.command('send', `device/${id}`, 'now', '--message-id', 'c2d-1');
  const now = await got.next(`${name}: a message`);
  check(now.getData().toString() === 'now' && now.messageId === 'c2d-1', `${name}: has what is sent to it`);
}

async function device(way, how) {
  const name = `${how} over ${way}`;
  const id = `car-${name.replace(/[^A-Za-z0-9]/g, '')}`;
  const client = await open(Client, hub, register(hub, id, how), WAYS[way]);
  const properties = await telemetry(name, client, id, watcher);
  check(properties.contentType === 'application/json' && properties.userProperties.site === 'München' &&
    properties.userProperties['a b'] === 'c&d=e/f' && properties.userProperties.empty === '', `${name}: with its properties`);
  const many = [];
  for (let i = 0; i < 100; ++i) many.push(client.sendEvent(message(String(i))));
  await within(`${name}: a hundred at once`, Promise.all(many));
  for (let i = 0; i < 100; ++i) {
    const { body } = await watcher.next(`${name}: message ${i}`);
    if (body !== String(i)) check(false, `${name}: message ${i} in order, not ${body}`);
  }
  check(true, `${name}: a hundred messages at once, in order`);
  await twins(name, client, id);
  await methods(name, client, `device/${id}`, client.onDeviceMethod);
  await cloud(name, client, id);
  await within(`${name}: its end`, client.close());
}

async function module(way) {
  const name = `module over ${way}`;
  const id = `host-${way}`;
  hub.json('device', 'add', id);
  const [one, two] = ['a', 'b'].map((it) => hub.json('device', 'add', `${id}/module/${it}`));
  const a = await open(ModuleClient, hub, { text: `${one.connection_string};GatewayHostName=localhost` }, WAYS[way]);
  const b = await open(ModuleClient, hub, { text: `${two.connection_string};GatewayHostName=localhost` }, WAYS[way]);
  await within(`${name}: an output`, a.sendOutputEvent('hot', message('out')));
  check((await watcher.next(`${name}: its output`)).body === 'out', `${name}: sends from an output`);
  await twins(name, a, `${id}/module/a`);
  await methods(name, b, `device/${id}/module/b`, b.onMethod);
  hub.command('device', 'grants', `${id}/module/a`, '--add', `method:device/${id}/module/b/*`);
  await a._methodClient.setOptions({ ca: hub.ca });
  const answer = await within(`${name}: a call`, a.invokeMethod(id, 'b', { methodName: 'reset', payload: { hard: false },
    responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 5 }));
  check(answer.status === 200 && answer.payload.was.hard === false, `${name}: calls a method of another`);
  await within(`${name}: their ends`, Promise.all([a.close(), b.close()]));
}

async function endOfTheHost(way) {
  const name = `SAS over ${way}`;
  const id = `back-${way}`;
  const registered = register(hub, id, 'SAS');
  const client = await open(Client, hub, registered, WAYS[way]);
  await telemetry(name, client, id, watcher);
  hub.command('send', `device/${id}`, 'kept');
  await hub.kill();
  const waiting = client.sendEvent(message('over the gap'));
  await hub.start();
  watcher.end();
  watcher = await listen();
  await within(`${name}: telemetry over a restart`, waiting);
  check(true, `${name}: a kill -9 of the host is survived`);
  await within(`${name}: its end`, client.close());
  // Whether the SDK subscribes anew by itself depends on how long the host was away.
  const again = await open(Client, hub, registered, WAYS[way]);
  const got = new Queue();
  again.on('message', (one) => again.complete(one, () => got.push(one)));
  check((await got.next(`${name}: a message after it`)).getData().toString() === 'kept', `${name}: with what waited for it`);
  await within(`${name}: its end`, again.close());
}

async function tokens(way) {
  const name = `SAS over ${way}`;
  const id = `renews-${way}`;
  const client = await open(Client, hub, register(hub, id, 'SAS'), WAYS[way],
    { tokenRenewal: { tokenValidTimeInSeconds: 4, tokenRenewalMarginInSeconds: 3 } });
  let renewed = 0;
  const provider = client._transport._authenticationProvider;
  provider.on('newTokenAvailable', () => { renewed += 1; });
  await until(`${name}: two new tokens`, () => renewed >= 2);
  await telemetry(`${name}, with a new token`, client, id, watcher);
  await within(`${name}: its end`, client.close());
}

suite(async () => {
  await hub.start();
  watcher = await watchTelemetry(hub);
  for (const way of Object.keys(WAYS)) {
    for (const how of ['SAS', 'X.509 thumbprint', 'X.509 CA']) await device(way, how);
    await module(way);
    await endOfTheHost(way);
    await tokens(way);
  }
  watcher.end();
  await hub.stop();
});
