// azure-iot-device over HTTPS: telemetry alone and in batches, cloud-to-device messages by polling,
// by SAS, X.509 thumbprint and X.509 CA; and who has no right to any of it.
'use strict';
const https = require('https');
const { Client } = require('azure-iot-device');
const { Http } = require('azure-iot-device-http');
const { Hub, Queue, check, suite, within } = require('./hub.js');
const { message, open, register, telemetry, watchTelemetry } = require('./azure.js');

const hub = new Hub();
let watcher;

async function device(how) {
  const name = `${how} over HTTPS`;
  const id = `car-${how.replace(/[^A-Za-z0-9]/g, '')}`;
  const client = await open(Client, hub, register(hub, id, how), Http, { http: { receivePolicy: { interval: 1 } } });
  const said = message('plain', { site: 'muc' });
  said.contentType = 'text/plain';
  await within(`${name}: telemetry`, client.sendEvent(said));
  const { body, packet } = await watcher.next(`${name}: its telemetry`);
  check(body === 'plain' && packet.properties.userProperties.site === 'muc' &&
    packet.properties.contentType === 'text/plain', `${name}: telemetry arrives with its properties`);
  await within(`${name}: a batch`, client.sendEventBatch([message('1', { n: 'a' }), message('2'), message('3')]));
  for (const wanted of ['1', '2', '3']) check((await watcher.next(`${name}: of a batch`)).body === wanted, `${name}: ${wanted} of a batch`);
  await within(`${name}: 200 KB`, client.sendEvent(message('l'.repeat(200_000))));
  check((await watcher.next(`${name}: 200 KB`)).body.length === 200_000, `${name}: 200 KB arrive`);

  hub.command('send', `device/${id}`, 'first', '--property', 'kind=early', '--message-id', 'c2d-1');
  hub.command('send', `device/${id}`, 'second');
  const got = new Queue();
  let abandoned = false;
  client.on('message', (one) => {
    if (!abandoned) {
      abandoned = true;
      client.abandon(one, (error) => { if (error) check(false, `${name}: abandons: ${error}`); });
      return;
    }
    client.complete(one, (error) => error ? check(false, `${name}: completes: ${error}`) : got.push(one));
  });
  const messages = [await got.next(`${name}: a message`), await got.next(`${name}: another`)];
  check(messages.map((one) => one.getData().toString()).sort().join() === 'first,second', `${name}: has both, also the abandoned one`);
  const first = messages.find((one) => one.getData().toString() === 'first');
  check(first.messageId === 'c2d-1' && first.properties.getValue('iothub-app-kind') === 'early', `${name}: with what was said of it`);
  await within(`${name}: its end`, client.close());
}

function post(path, headers, body, options) {
  return within(path, new Promise((done, failed) => {
    const request = https.request({ host: 'localhost', path, method: 'POST', headers, ca: hub.ca, agent: false, ...options }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => done({ status: response.statusCode, code: response.headers['iothub-errorcode'], text }));
    });
    request.on('error', failed);
    request.end(body);
  }));
}

async function refusals() {
  hub.json('device', 'add', 'car-1');
  hub.json('device', 'add', 'car-2');
  const token = hub.command('device', 'sas', 'car-1').trim();
  const events = (id) => `/devices/${id}/messages/events?api-version=2021-04-12`;
  const authorized = { Authorization: token };
  check((await post(events('car-1'), authorized, 'x')).status === 204, 'a request with a token is taken');
  check((await watcher.next('its telemetry')).body === 'x', 'and arrives');
  for (const [what, id, headers] of [['none', 'car-1', {}], ["another's", 'car-2', authorized], ['one for nobody', 'car-9', authorized],
    ['a changed one', 'car-1', { Authorization: token.replace('sig=', 'sig=A') }]]) {
    const { status, code, text } = await post(events(id), headers, 'x');
    check(status === 401 && code === 'IotHubUnauthorizedAccess' && /^ErrorCode:/.test(JSON.parse(text).Message),
      `a request with ${what} is refused as IoT Hub does`);
  }
  const unversioned = await post('/devices/car-1/messages/events', authorized, 'x');
  check(unversioned.status === 400 && unversioned.code === 'InvalidProtocolVersion', 'one without api-version, too');
  const large = await post(events('car-1'), authorized, 'l'.repeat(262_145)).catch((error) => error);
  check(large instanceof Error || large.status === 413, 'one of more than 256 KiB, too');
}

suite(async () => {
  await hub.start();
  watcher = await watchTelemetry(hub);
  for (const how of ['SAS', 'X.509 thumbprint', 'X.509 CA']) await device(how);
  await refusals();
  watcher.end();
  await hub.stop();
});
