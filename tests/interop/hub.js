// What the suites share: a gateway of this build, certificates, and waiting on events.
'use strict';
const { execFile, execFileSync, spawn } = require('child_process');
const fs = require('fs');
const path = require('path');

const KANTE = path.join(process.env.KANTE_BIN, 'kante');
const DEADLINE_MS = 60_000;

function fail(text) {
  process.stderr.write(`FAILED: ${text}\n`);
  for (const hub of Hub.all) process.stderr.write(`--- log (end)\n${hub.log().slice(-6000)}\n`);
  process.exit(1);
}
function check(condition, text) {
  if (!condition) fail(text);
  process.stdout.write(`ok   ${text}\n`);
}
// What the promise gives, or the end of the suite.
function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('nothing came within 60 s')), DEADLINE_MS);
  });
  return Promise.race([promise, late])
    .catch((error) => fail(`${what}: ${error && error.stack || error}`))
    .finally(() => clearTimeout(timer));
}
async function until(what, condition) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) fail(`waited 60 s for ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

// Values in the order in which they come, for whoever waits for the next one.
class Queue {
  constructor() {
    this.values = [];
    this.waiting = [];
  }
  push(value) {
    const next = this.waiting.shift();
    if (next) next(value);
    else this.values.push(value);
  }
  next(what) {
    return within(what, new Promise((done) => {
      if (this.values.length) done(this.values.shift());
      else this.waiting.push(done);
    }));
  }
}

// `kante run` in this folder on the ports that SDKs know.
class Hub {
  static all = [];
  constructor(more = '') {
    this.folder = process.cwd();
    this.socket = path.join(this.folder, 'api.sock');
    const signer = path.join(process.env.KANTE_DEV_KEYS, 'signer.pem');
    makeCertificate('fleet', 'fleet');
    fs.writeFileSync('gateway.toml', `[gateway]
id = "edge-1"
data_dir = "${this.folder}/data"
[trust]
signers = ["${signer}"]
[api]
socket = "${this.socket}"
http = ""
[hub]
hostname = "localhost"
[hub.mqtt]
listen = ["127.0.0.1:1883"]
tls_listen = ["127.0.0.1:8883"]
anonymous = true
[hub.http]
listen = ["127.0.0.1:80"]
[hub.https]
listen = ["127.0.0.1:443"]
[hub.tls]
client_ca = "${this.folder}/fleet.pem"
${more}`);
    Hub.all.push(this);
  }
  async start() {
    const out = fs.openSync('log', 'a');
    this.process = spawn(KANTE, ['run', '--config', 'gateway.toml'], { stdio: ['ignore', out, out] });
    fs.closeSync(out);
    this.ended = new Promise((done) => this.process.on('exit', done));
    await until('the gateway', () => {
      if (this.process.exitCode !== null) fail('the gateway ended at once');
      try { return this.status(); } catch { return null; }
    });
    this.ca = this.command('identity', 'show', '--ca');
    return this;
  }
  command(...words) {
    return execFileSync(KANTE, [...words, '--socket', this.socket], { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  }
  // While this process goes on, which may be asked itself; `{}` when there is no answer.
  ask(...words) {
    return new Promise((done) => execFile(KANTE, [...words, '--json', '--socket', this.socket],
      (_, stdout) => done(JSON.parse(stdout || '{}'))));
  }
  json(...words) { return JSON.parse(this.command(...words, '--json')); }
  status() { return this.json('status'); }
  log() { return fs.existsSync('log') ? fs.readFileSync('log', 'utf8') : ''; }
  async stop() {
    this.process.kill('SIGTERM');
    check(await within('the end of the gateway', this.ended) === 0, 'the gateway stops in order');
  }
  // The keeper and the host, without a word.
  async kill() {
    const host = Number(fs.readFileSync('data/lock', 'utf8'));
    this.process.kill('SIGKILL');
    try { process.kill(host, 'SIGKILL'); } catch { /* It went with its keeper. */ }
    await within('the end of the gateway', this.ended);
  }
}
process.on('exit', () => {
  for (const hub of Hub.all) if (hub.process && hub.process.exitCode === null) hub.process.kill('SIGKILL');
});

// NAME.key and NAME.pem: signed by itself, or by a CA.
function makeCertificate(name, commonName, ca) {
  const openssl = (...words) => execFileSync('openssl', words, { stdio: 'pipe' });
  const request = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`,
    '-subj', `/CN=${commonName}`];
  if (ca) {
    openssl('req', ...request, '-out', `${name}.csr`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial',
      '-out', `${name}.pem`, '-days', '30');
  } else {
    openssl('req', '-x509', ...request, '-out', `${name}.pem`, '-days', '30');
  }
  return { cert: fs.readFileSync(`${name}.pem`, 'utf8'), key: fs.readFileSync(`${name}.key`, 'utf8') };
}

// Runs a suite, and ends the process with it.
function suite(main) {
  process.on('unhandledRejection', (error) => fail(error && error.stack || String(error)));
  main().then(() => process.exit(0), (error) => fail(error && error.stack || String(error)));
}

module.exports = { Hub, Queue, check, fail, makeCertificate, suite, until, within };
