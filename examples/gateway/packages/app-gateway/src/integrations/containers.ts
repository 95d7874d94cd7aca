import { EC2 } from '@aws-sdk/client-ec2';
import type { FastifyInstance, preHandlerHookHandler } from 'fastify';
import type { Config } from '../config';

/** `GET /containers`: the hosts that carry this gateway's user containers. */
export function containerRoutes(app: FastifyInstance, config: Config, preHandler: preHandlerHookHandler): void {
  const region = config.CONTAINER_REGION;
  const gateway = config.GATEWAY_ID;
  let compute: EC2 | undefined;

  app.get('/containers', { preHandler }, async (_request, reply) => {
    if (!region || !gateway) {
      return reply.code(503).send({ error: 'CONTAINER_REGION and GATEWAY_ID are not set' });
    }
    compute ??= new EC2({ region });
    const found = await compute.describeInstances({
      Filters: [{ Name: 'tag:gateway', Values: [gateway] }],
    });
    const hosts = (found.Reservations ?? []).flatMap((reservation) => reservation.Instances ?? []);
    return hosts.map((host) => ({
      id: host.InstanceId,
      state: host.State?.Name,
      address: host.PrivateIpAddress,
      since: host.LaunchTime,
    }));
  });
}
