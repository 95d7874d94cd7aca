import type { FastifyReply, FastifyRequest } from 'fastify';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import type { Config } from './config';

type Check = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>;

/** Lets a request pass only with a token that this gateway's Ganymede has signed. */
export function authorizer(config: Config): Check {
  const issuer = config.GANYMEDE_FQDN;
  if (!issuer) {
    return async (_request, reply) => reply.code(503).send({ error: 'GANYMEDE_FQDN is not set' });
  }
  const keys = createRemoteJWKSet(new URL(`https://${issuer}/.well-known/jwks.json`));
  return async (request, reply) => {
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (!token) {
      reply.header('www-authenticate', 'Bearer');
      return reply.code(401).send({ error: 'a bearer token is required' });
    }
    try {
      await jwtVerify(token, keys, { issuer: `https://${issuer}` });
      return undefined;
    } catch {
      return reply.code(403).send({ error: 'this token does not open this gateway' });
    }
  };
}
