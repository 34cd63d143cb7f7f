// Answers that are all under way at once: their readers have taken the first bytes, and wait.
import { connect } from 'node:net';

/** Long, for a busy machine. */
const PATIENCE_MS = 60_000;

/**
 * Asks for `path` on so many connections, and holds every answer at its first bytes.
 *
 * @param {{port: number, host: string, cookie: string}} lane whom, and as whom
 * @returns {Promise<{read: () => Promise<number[]>}>} all have begun; `read` takes the rest and gives how long each answer was
 */
export async function holdAnswers({ port, host, cookie }, path, count) {
  const held = await Promise.all(Array.from({ length: count }, () => hold({ port, host, cookie }, path)));
  return { read: () => Promise.all(held.map((rest) => rest())) };
}

function hold({ port, host, cookie }, path) {
  return within(new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', reject);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-CSRF: 1\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`);
    let taken = '';
    const head = (piece) => {
      taken += piece.toString('latin1');
      const end = taken.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', head);
      socket.pause();
      if (!taken.startsWith('HTTP/1.1 200 ')) {
        socket.destroy();
        reject(new Error(`answers ${taken.slice(0, 200)}`));
        return;
      }
      let bytes = taken.length - end - 4;
      resolve(() => within(new Promise((done, failed) => {
        socket.on('error', failed).on('data', (more) => { bytes += more.length; }).on('end', () => { socket.destroy(); done(bytes); });
        socket.resume();
      })));
    };
    socket.on('data', head);
  }));
}

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('an answer does not come')), PATIENCE_MS); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
