// A real dockerd, whose containers share the network of this process.
'use strict';
const { execFileSync, spawn, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { fail, until } = require('./hub.js');

// Why there can be none here; empty: there can.
function missing() {
  if (process.getuid() !== 0) return 'dockerd needs root';
  for (const program of ['dockerd', 'containerd', 'runc', 'docker', 'busybox', 'tar']) {
    if (spawnSync('which', [program]).status !== 0) return `${program} is not installed (scripts/setup)`;
  }
  const begins = spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']);
  return begins.status === 0 ? '' : 'this machine gives no namespaces to containers';
}

// Ends the suite as skipped where there can be none.
function skipWithout() {
  const why = missing();
  if (!why) return;
  if (process.env.KANTE_DOCKER_MUST_WORK) fail(why);
  process.stdout.write(`SKIPPED: ${why}\n`);
  process.exit(77);
}

class Dockerd {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'kante-dockerd-'));  // Short, for the socket.
    this.socket = path.join(this.folder, 'docker.sock');
    process.on('exit', () => this.end());
  }
  async start() {
    const at = (name) => path.join(this.folder, name);
    for (const stale of ['pid', 'exec/containerd/containerd.pid', 'docker.sock']) fs.rmSync(at(stale), { force: true });
    const out = fs.openSync('dockerd-log', 'a');
    this.process = spawn('dockerd', ['--data-root', at('root'), '--exec-root', at('exec'), '-H', `unix://${this.socket}`,
      '--storage-driver=vfs', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false',
      '--bridge=none', '--live-restore', '-p', at('pid')], { stdio: ['ignore', out, out] });
    fs.closeSync(out);
    await until('dockerd', () => {
      if (this.process.exitCode !== null) fail('dockerd ended at once');
      return spawnSync('docker', ['-H', `unix://${this.socket}`, 'version']).status === 0;
    });
    return this;
  }
  docker(...words) {
    return execFileSync('docker', ['-H', `unix://${this.socket}`, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
      .toString().trim();
  }
  // Busybox, and empty folders to mount into.
  image(name) {
    for (const folder of ['bin', 'tmp', 'usr', 'lib', 'lib64', 'etc']) fs.mkdirSync(`image/${folder}`, { recursive: true });
    const busybox = execFileSync('which', ['busybox']).toString().trim();
    fs.copyFileSync(busybox, 'image/bin/busybox');
    fs.symlinkSync('busybox', 'image/bin/sh');
    execFileSync('tar', ['-C', 'image', '-cf', 'image.tar', '.']);
    this.docker('import', 'image.tar', name);
  }
  // With its containers.
  end() {
    if (!this.process || this.ended) return;
    this.ended = true;
    try {
      const all = this.docker('ps', '-aq').split('\n').filter(Boolean);
      if (all.length) this.docker('rm', '-fv', ...all);
    } catch { /* It is gone already. */ }
    const pid = this.process.pid;
    spawnSync('kill', [String(pid)]);
    spawnSync('timeout', ['20', 'tail', '--pid', String(pid), '-f', '/dev/null']);
    for (const mounted of ['root', 'exec/netns/default']) spawnSync('umount', ['-l', path.join(this.folder, mounted)]);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

module.exports = { Dockerd, skipWithout };
