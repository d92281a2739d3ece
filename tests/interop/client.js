// A card network made of the npm package iso_8583: says one message after the other to an engine.
// One JSON request on standard input: {port, messages}. One JSON answer: what came back to each.
const net = require('node:net');
const { createRequire } = require('node:module');

const asked = JSON.parse(require('node:fs').readFileSync(0));
const Iso8583 = createRequire(asked.modules + '/')('iso_8583');

const link = net.connect(asked.port, '127.0.0.1');
const answers = [];
let heard = Buffer.alloc(0);

function say() {
  const message = asked.messages[answers.length];
  if (message === undefined) {
    link.end();
    console.log(JSON.stringify(answers));
    return;
  }
  const raw = new Iso8583(message).getBufferMessage();
  if (raw.error) throw new Error(raw.error);
  link.write(raw);
}

link.on('connect', say);
link.on('data', (data) => {
  heard = Buffer.concat([heard, data]);
  while (heard.length >= 2 && heard.length >= 2 + heard.readUInt16BE(0)) {
    const end = 2 + heard.readUInt16BE(0);
    const raw = heard.subarray(0, end);
    heard = heard.subarray(end);
    answers.push({ fields: new Iso8583().getIsoJSON(raw), raw: raw.toString('hex') });
    say();
  }
});
