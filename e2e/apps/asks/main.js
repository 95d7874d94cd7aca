// The application of journeys about the front door: it tells what it learns of a request,
// and asks others itself, with nothing switched off.
//
//   GET /              who answers, and what it was given
//   GET /headers       the headers of the request, as they came
//   GET /fetch?url=U   what Node's fetch is answered there, or why it is not
'use strict';

const dns = require('node:dns');
const { createServer } = require('node:http');
const { hostname } = require('node:os');

const GATEWAY_VERSION = "1.0.0";
const TOLD = ['ORGANIZATION_ID', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'];

// Where the machine's own resolver does not know names below `localhost`, they are looked up here.
const { lookup } = dns;
dns.lookup = (name, options, done) =>
  lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, options, done);

async function fetched(url) {
  try {
    const answer = await fetch(url);
    return { status: answer.status, body: await answer.text() };
  } catch (error) {
    return { error: String(error.cause?.code ?? error) };
  }
}

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url, 'http://gateway');
  if (pathname === '/headers') {
    return request.rawHeaders;
  }
  if (pathname === '/fetch') {
    return fetched(searchParams.get('url'));
  }
  const told = Object.fromEntries(TOLD.map((name) => [name, process.env[name] ?? null]));
  return { version: GATEWAY_VERSION, pid: process.pid, host: hostname(), ...told };
}

const server = createServer(async (request, response) => {
  response.end(JSON.stringify(await answer(request)));
});
server.listen(Number(process.env.PORT ?? 8888), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
