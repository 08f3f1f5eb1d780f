// postgres.js: pipelined extended queries, its own type fetch, cursors, transactions, COPY.
import postgres from 'postgres';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { main } from './program.js';

main(async (target) => {
  const sql = postgres({
    host: target.host, port: target.port, user: target.user, password: target.password, database: target.dbname, max: 1,
    ssl: target.sslmode === 'require' ? { rejectUnauthorized: false } : false, onnotice: () => {},
  });
  const rows = async (text, values) => {
    const done = await sql.unsafe(text, values, { prepare: values.length > 0 }).values();
    return done.columns?.length ? [...done] : [[done.command, done.count]];
  };
  const cursor = async (query) => {
    const found = [];
    for await (const part of query.cursor(11)) found.push(...part.map((row) => Object.values(row)));
    return found;
  };
  const specials = {
    pipelined: async () => {
      const all = await Promise.all([...Array(40).keys()].map((n) => sql`SELECT id, weight FROM things WHERE id = ${n}`.values()));
      return all.flat();
    },
    cursor: () => cursor(sql`SELECT id, name FROM things ORDER BY id`),
    describe: async () => (await sql`SELECT id, name FROM things WHERE id = ${1}`.describe()).columns.map((c) => [c.name, c.type]),
    transaction: async () => {
      const outcome = await sql.begin(async (tx) => {
        await tx`INSERT INTO scratch ${tx({ id: 1950, name: 'x' })}`;
        throw new Error('back');
      }).catch((error) => error.message);
      return [[outcome], ...(await sql`SELECT count(*) FROM scratch WHERE id = 1950`.values())];
    },
    'copy in': async () => {
      await pipeline(Readable.from(['1960\tp\n']), await sql`COPY scratch (id, name) FROM STDIN`.writable());
      return [...(await sql`DELETE FROM scratch WHERE id = 1960 RETURNING id, name`.values())];
    },
    'copy out': async () => {
      let out = '';
      for await (const part of await sql`COPY things (id, name) TO STDOUT`.readable()) out += part.toString();
      return [[out]];
    },
    'masked pipelined': async () => {
      const all = await Promise.all([...Array(20).keys()].map((n) => sql`SELECT id, email FROM people WHERE id = ${n}`.values()));
      return all.flat();
    },
    'masked cursor': () => cursor(sql`SELECT id, email, phone FROM people`),
  };
  return { rows, specials, close: () => sql.end() };
});
