// What has been opened by other ways than Node's modules: SQLite, native addons.
'use strict';

const { readdirSync, readFileSync, readlinkSync } = require('node:fs');
const { SocketAddress } = require('node:net');

const FOLDER = '/proc/self/fd';
const ACCESS = 0o3;
const ESTABLISHED = '01';
const SYN_SENT = '02';

/** What is open in this process: descriptors, and what each leads to. */
function openNow() {
  return new Map(
    list()
      .map((fd) => [fd, link(fd)])
      .filter(([, target]) => target !== undefined),
  );
}

/**
 * What was opened since then, as `{kind, what}`: files, and connections over TCP.
 * Unix sockets have no name at this end.
 *
 * @param before what `openNow` said then
 * @param known descriptors that are recorded already
 */
function openedSince(before, known) {
  const opened = [...openNow()].filter(([fd, target]) => before.get(fd) !== target && !known.has(fd));
  const files = opened
    .filter(([, target]) => target.startsWith('/') && !target.startsWith('/memfd:'))
    .map(([fd, target]) => ({ kind: access(fd), what: target.replace(/ \(deleted\)$/, '') }))
    .filter(({ kind }) => kind !== undefined);
  const inodes = opened.map(([, target]) => /^socket:\[(\d+)\]$/.exec(target)?.[1]);
  return [...files, ...connections(new Set(inodes.filter((it) => it !== undefined)))];
}

function list() {
  try {
    return readdirSync(FOLDER).map(Number);
  } catch {
    return [];
  }
}

function link(fd) {
  try {
    return readlinkSync(`${FOLDER}/${fd}`);
  } catch {
    return undefined;
  }
}

/** What can be done to an open file; nothing where it was closed meanwhile. */
function access(fd) {
  try {
    const [, flags] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
    return (parseInt(flags, 8) & ACCESS) === 0 ? 'read' : 'write';
  } catch {
    return undefined;
  }
}

/** The peers of these sockets, where they are connected over TCP. */
function connections(inodes) {
  if (inodes.size === 0) {
    return [];
  }
  return ['tcp', 'tcp6'].flatMap((table) =>
    lines(`/proc/self/net/${table}`)
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => inodes.has(words[9]) && [ESTABLISHED, SYN_SENT].includes(words[3]))
      .map((words) => ({ kind: 'connect', what: peer(words[2]) })),
  );
}

function lines(path) {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(1);
  } catch {
    return [];
  }
}

/** An address as the kernel prints it: words of four bytes, each the wrong way round. */
function peer(text) {
  const [address, port] = text.split(':');
  const bytes = Buffer.from(address, 'hex').swap32();
  const host =
    bytes.length === 4
      ? bytes.join('.')
      : new SocketAddress({
          address: bytes.toString('hex').match(/.{4}/g).join(':'),
          family: 'ipv6',
        }).address.replace(/^::ffff:(?=\d+\.)/, '');
  return `${host}:${parseInt(port, 16)}`;
}

module.exports = { openNow, openedSince };
