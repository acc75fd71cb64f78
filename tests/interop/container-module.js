// A module as IoT Edge's tutorials have it, run in a container by azure-container.js: it knows what
// its environment says, and nothing else.
'use strict';
const { ModuleClient, Message } = require('azure-iot-device');
const transport = require('azure-iot-device-mqtt')[process.env.TRANSPORT];

async function main() {
  const client = await ModuleClient.fromEnvironment(transport);
  client.on('error', (error) => console.log(`client: ${error}`));
  client.on('inputMessage', (input, message) => {
    const out = new Message(JSON.stringify({ input, got: JSON.parse(message.getData().toString()) }));
    out.properties.add('seen', 'yes');
    client.complete(message, () => {});
    client.sendOutputEvent('out', out, (error) => { if (error) console.log(`output: ${error}`); });
  });
  client.onMethod('relay', async (request, response) => {
    const { module, method } = request.payload;
    try {
      const answer = await client.invokeMethod(process.env.IOTEDGE_DEVICEID, module, { methodName: method, payload: {} });
      await response.send(200, answer);
    } catch (error) {
      await response.send(502, { error: String(error) });
    }
  });
  await client.open();
  const twin = await client.getTwin();
  twin.on('properties.desired', (desired) => {
    twin.properties.reported.update({ colour: desired.colour }, () => {});
  });
  console.log('open');
}
main().catch((error) => { console.log(`failed: ${error && error.stack || error}`); process.exit(1); });
