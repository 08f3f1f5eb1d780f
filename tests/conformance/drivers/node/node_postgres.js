// node-postgres: simple and extended queries, named statements, cursors, COPY streams, several statements in one text.
import pg from 'pg';
import copy from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { main } from './program.js';

const options = (t) => ({
  host: t.host, port: t.port, user: t.user, password: t.password, database: t.dbname,
  ssl: t.sslmode === 'require' ? { rejectUnauthorized: false } : false,
});

main(async (target) => {
  const client = new pg.Client(options(target));
  await client.connect();
  const rows = async (text, values) => {
    const done = await client.query({ text, values: values.length ? values : undefined, rowMode: 'array' });
    return done.fields?.length ? done.rows : [[done.command, done.rowCount]];
  };
  const cursor = async (text) => {
    const open = client.query(new Cursor(text, [], { rowMode: 'array' }));
    const found = [];
    for (;;) {
      const part = await open.read(13);
      if (part.length === 0) break;
      found.push(...part);
    }
    await open.close();
    return found;
  };
  const copyOut = async (text) => {
    let out = '';
    for await (const part of client.query(copy.to(text))) out += part.toString('latin1');
    return [[out]];
  };
  const specials = {
    binary: async () => {
      const done = await client.query({ text: 'SELECT id, ratio, flag, name FROM things WHERE id < $1 ORDER BY id', values: [20], binary: true, rowMode: 'array' });
      return done.rows;
    },
    named: async () => {
      const found = [];
      for (let n = 1; n < 9; n += 1) {
        const done = await client.query({ name: 'one', text: 'SELECT id, name FROM things WHERE id = $1', values: [n], rowMode: 'array' });
        found.push(...done.rows);
      }
      return found;
    },
    several: async () => (await client.query('SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c')).map((r) => [JSON.stringify(r.rows)]),
    cursor: () => cursor('SELECT id, name FROM things ORDER BY id'),
    'copy out': () => copyOut('COPY (SELECT id, name FROM things ORDER BY id) TO STDOUT'),
    'copy in': async () => {
      await pipeline(Readable.from(['1800\tn\n', '1801\t\\N\n']), client.query(copy.from('COPY scratch (id, name) FROM STDIN')));
      const done = await client.query({ text: 'DELETE FROM scratch WHERE id >= 1800 AND id < 1900 RETURNING id, name', rowMode: 'array' });
      return done.rows.sort();
    },
    transaction: async () => {
      await client.query('BEGIN');
      await client.query("INSERT INTO scratch VALUES (1900, 'x')");
      await client.query('ROLLBACK');
      return (await client.query({ text: 'SELECT count(*) FROM scratch WHERE id = 1900', rowMode: 'array' })).rows;
    },
    pool: async () => {
      const pool = new pg.Pool({ ...options(target), max: 3 });
      const found = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => pool.query('SELECT $1::int AS n', [n])));
      await pool.end();
      return found.map((r) => [r.rows[0].n]);
    },
    'masked cursor': () => cursor('SELECT id, email, ssn, dob FROM people'),
  };
  return { rows, specials, close: () => client.end() };
});
