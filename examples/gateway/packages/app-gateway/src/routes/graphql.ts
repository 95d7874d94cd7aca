import type { FastifyInstance } from 'fastify';
import { buildSchema, graphql } from 'graphql';
import type { Identity } from '../app';
import type { Room, Rooms } from '../collab/rooms';

const schema = buildSchema(`
  type Gateway { version: String!, build: String, pid: Int!, gateway: String, uptime: Float! }
  type Room { name: String!, members: Int!, text: String! }
  type Query { gateway: Gateway!, rooms: [Room!]!, room(name: String!): Room }
`);

/** `POST /graphql`: the gateway and its open rooms. */
export function graphqlRoutes(app: FastifyInstance, identity: Identity, rooms: Rooms): void {
  const view = (room: Room) => ({
    name: room.name,
    members: room.members,
    text: () => room.document.getText('text').toString(),
  });
  const rootValue = {
    gateway: () => ({ ...identity, uptime: process.uptime() }),
    rooms: () => rooms.list().map(view),
    room: ({ name }: { name: string }) => {
      const room = rooms.find(name);
      return room ? view(room) : null;
    },
  };
  const body = {
    type: 'object',
    required: ['query'],
    properties: {
      query: { type: 'string', maxLength: 10_000 },
      variables: { type: 'object' },
    },
  } as const;
  app.post<{ Body: { query: string; variables?: Record<string, unknown> } }>(
    '/graphql',
    { schema: { body } },
    async (request) => {
      const { query, variables } = request.body;
      return graphql({ schema, source: query, rootValue, variableValues: variables ?? null });
    },
  );
}
