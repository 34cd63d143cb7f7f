// As much of RFC 6455 as an echo needs: whole binary messages, with a masking key of zeros, which changes no byte.
import { createHash } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const BINARY = 0x82;
const MASKED = 0x80;
const MASK_BYTES = 4;

/** `Sec-WebSocket-Accept` for a handshake's key (§4.2.2). */
export const accept = (key) => createHash('sha1').update(key + GUID).digest('base64');

/** One message in one frame (§5.2). */
export function frame(payload, { masked = false } = {}) {
  const { length } = payload;
  const bit = masked ? MASKED : 0;
  const head = length < 126 ? Buffer.from([BINARY, bit | length]) : Buffer.alloc(length < 65_536 ? 4 : 10);
  if (length >= 126) {
    const wide = length >= 65_536;
    head[0] = BINARY;
    head[1] = bit | (wide ? 127 : 126);
    if (wide) head.writeBigUInt64BE(BigInt(length), 2);
    else head.writeUInt16BE(length, 2);
  }
  return Buffer.concat([head, ...(masked ? [Buffer.alloc(MASK_BYTES)] : []), payload]);
}

/** Calls `take(payload)` for each whole message that arrives on a socket; anything but such messages ends it. */
export function onMessages(socket, head, take) {
  let [parts, have] = [[], 0];
  const add = (chunk) => {
    parts.push(chunk);
    have += chunk.length;
    for (;;) {
      if (have < 2) return;
      // The head of a frame, which may be in several parts; at most 14 bytes.
      if (parts[0].length < Math.min(have, 14)) parts = [Buffer.concat(parts)];
      const span = extent(parts[0]);
      if (!span || have < span.end) return;
      const whole = parts.length > 1 ? Buffer.concat(parts) : parts[0];
      const rest = whole.subarray(span.end);
      [parts, have] = [rest.length ? [rest] : [], rest.length];
      if (whole[0] !== BINARY) {
        socket.destroy(new Error(`a frame that begins with ${whole[0]}`));
        return;
      }
      take(whole.subarray(span.start, span.end));
    }
  };
  socket.on('data', add);
  if (head.length) add(head);
}

/** Where the first frame's payload is; nothing as long as that cannot be known. */
function extent(bytes) {
  const short = bytes[1] & 0x7f;
  const wide = { 126: 2, 127: 8 }[short] ?? 0;
  if (bytes.length < 2 + wide) return undefined;
  const length = { 0: () => short, 2: () => bytes.readUInt16BE(2), 8: () => Number(bytes.readBigUInt64BE(2)) }[wide]();
  const start = 2 + wide + (bytes[1] & MASKED ? MASK_BYTES : 0);
  return { start, end: start + length };
}
