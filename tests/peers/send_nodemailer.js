// Sends five messages with nodemailer: AUTH under STARTTLS, a pool of two connections, an attachment, DSN parameters.
const nodemailer = require('nodemailer');
const [port, user, pass] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: Number(port), secure: false, requireTLS: true, pool: true, maxConnections: 2,
  auth: { user, pass }, tls: { rejectUnauthorized: false },
});
const letter = (number) => ({
  from: 'bob@submit.test', to: 'node@submit.test', subject: `nodemailer ${number}`, text: 'Grüße\n.\n',
  attachments: [{ filename: 'a.bin', content: Buffer.alloc(100000, 'x') }],
  dsn: { id: `n${number}`, return: 'headers', notify: ['failure', 'delay'], recipient: 'bob@submit.test' },
});
Promise.all([1, 2, 3, 4, 5].map((number) => transport.sendMail(letter(number))))
  .then((answers) => {
    for (const answer of answers) if (!/^250 2\.0\.0 /.test(answer.response)) throw new Error(answer.response);
    transport.close();
    console.log('sent 5');
  })
  .catch((error) => { console.error(error); process.exit(1); });
