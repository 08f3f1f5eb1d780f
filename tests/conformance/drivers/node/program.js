// What both Node adapters share: cases by stdin, one line of JSON for each; see ../program.py.
import { readFileSync } from 'node:fs';

const plain = (value) => {
  if (value === null || value === undefined) return null;
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

export async function main(make) {
  const { target, cases } = JSON.parse(readFileSync(0, 'utf8'));
  const adapter = await make(target);
  const report = async (name, run) => {
    const line = { case: name, rows: null, error: null };
    try {
      line.rows = (await run()).map((row) => row.map(plain));
    } catch (error) {
      line.error = error.code ?? error.name;
      line.text = String(error.message).slice(0, 300);
    }
    console.log(JSON.stringify(line));
  };
  for (const one of cases) {
    const sql = one.sql.replace(/\{(\d+)\}/g, '$$$1');
    await report(one.name, () => adapter.rows(sql, one.params));
  }
  for (const [name, run] of Object.entries(adapter.specials)) await report(name, run);
  await adapter.close();
}
