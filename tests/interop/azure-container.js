// ModuleClient.fromEnvironment of azure-iot-device in a container: inputs, outputs, twin, methods both
// ways, a gateway that is killed and comes back, over MQTT and MQTT-WS.
'use strict';
const fs = require('fs');
const path = require('path');
const { listen } = require('./azure.js');
const { Dockerd, skipWithout } = require('./dockerd.js');
const { Hub, check, suite, until } = require('./hub.js');

const MODULES = process.env.KANTE_MODULES;
const PACKAGES = path.resolve(process.env.NODE_PATH);

// Node as it is on this machine, by mounts that the deployment grants.
function binds() {
  const all = ['/usr:/usr:ro', '/usr/lib:/lib:ro', '/usr/lib64:/lib64:ro', `${PACKAGES}:${PACKAGES}:ro`, `${__dirname}:${__dirname}:ro`];
  const own = path.dirname(path.dirname(fs.realpathSync(process.execPath)));
  return own === '/usr' ? all : [...all, `${own}:${own}:ro`];
}

function document(version, transport, desired) {
  const mounted = binds();
  return {
    schema: 'kante.deployment/1', id: 'container', version,
    modules: {
      sensor: { bundle: `${MODULES}/simulated-sensor.kmod`, placement: 'in-process', config: { period_ms: 200 } },
      azure: {
        image: 'kante/node:1', env: { NODE_PATH: PACKAGES, TRANSPORT: transport }, desired,
        create_options: {
          Cmd: [fs.realpathSync(process.execPath), path.join(__dirname, 'container-module.js')],
          HostConfig: { Binds: mounted },
        },
        grants: {
          methods: ['module/sensor/reset'],
          container: mounted.map((bind) => `bind:${bind.split(':')[0]}:ro`),
        },
      },
    },
    routes: {
      in: 'FROM /messages/modules/sensor/outputs/* INTO BrokeredEndpoint("/modules/azure/inputs/readings")',
      out: 'FROM /messages/modules/azure/outputs/out WHERE seen = "yes" INTO MqttTopic("seen/azure")',
    },
  };
}

suite(async () => {
  skipWithout();
  const dockerd = await new Dockerd().start();
  dockerd.image('kante/node:1');
  const hub = await new Hub(`[containers]\nengine = "${dockerd.socket}"\nnetwork = "host"\n`).start();
  const watcher = await listen();
  const deploy = (words) => {
    fs.writeFileSync('deployment.json', JSON.stringify(words));
    hub.command('deploy', 'apply', 'deployment.json');
  };
  const reported = async () => (await hub.ask('twin', 'get', 'module/azure')).reported || {};

  let version = 0;
  for (const transport of ['Mqtt', 'MqttWs']) {
    deploy(document(++version, transport, { colour: `red over ${transport}` }));
    const said = JSON.parse((await watcher.next(`${transport}: a message through it`)).body);
    check(said.input === 'readings' && 'machine' in said.got, `${transport}: inputs and outputs`);
    await until('the twin', async () => (await reported()).colour === `red over ${transport}`);
    check(true, `${transport}: its twin`);
    await hub.ask('twin', 'patch', 'module/azure', '{"colour":"blue"}');
    await until('the patch', async () => (await reported()).colour === 'blue');
    check(true, `${transport}: a patch of its twin`);
    const relayed = await hub.ask('invoke', 'module/azure', 'relay', '{"module":"sensor","method":"reset"}');
    check(relayed.status === 200 && relayed.payload.status === 200,
      `${transport}: a method of it, which calls one of a module here over HTTPS`);
    const refused = await hub.ask('invoke', 'module/azure', 'relay', '{"module":"azure","method":"other"}');
    check(refused.status === 502, `${transport}: what it is not granted it cannot call`);
  }

  const before = dockerd.docker('inspect', '--format', '{{.Id}} {{.State.StartedAt}}', 'kante-edge-1-azure');
  await hub.kill();
  await hub.start();
  await until('the watcher', async () => (await hub.ask('status')).modules.some((m) => m.name === 'azure' && m.state === 'running'));
  for (let fresh = 0; fresh < 3; ++fresh) await watcher.next('a message after the kill');
  const relayed = await until('the method again', async () => {
    const answer = await hub.ask('invoke', 'module/azure', 'relay', '{"module":"sensor","method":"reset"}');
    return answer.status === 200 && answer;
  });
  check(relayed.payload.status === 200, 'the gateway is killed: the container reconnects and goes on');
  const after = dockerd.docker('inspect', '--format', '{{.Id}} {{.State.StartedAt}}', 'kante-edge-1-azure');
  check(before === after, 'and was not begun again');
  watcher.end();
  await hub.stop();
});
