// BLAKE2b-256 (RFC 7693), which Node's own crypto does not have in this length. Slow and plain: it makes fixtures.
const MASK = (1n << 64n) - 1n;
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const BLOCK_BYTES = 128;
const HASH_BYTES = 32;

const rotate = (word, by) => ((word >> by) | (word << (64n - by))) & MASK;

/** The 32 bytes of the hash of `input`. */
export function blake2b256(input) {
  const state = [...IV];
  state[0] ^= 0x01010000n ^ BigInt(HASH_BYTES);
  const blocks = Math.max(1, Math.ceil(input.length / BLOCK_BYTES));
  for (let at = 0; at < blocks; at++) {
    const block = Buffer.alloc(BLOCK_BYTES);
    Buffer.from(input).copy(block, 0, at * BLOCK_BYTES);
    const isLast = at === blocks - 1;
    compress(state, block, BigInt(isLast ? input.length : (at + 1) * BLOCK_BYTES), isLast);
  }
  const hash = Buffer.alloc(64);
  state.forEach((word, at) => hash.writeBigUInt64LE(word, at * 8));
  return hash.subarray(0, HASH_BYTES);
}

function compress(state, block, counted, isLast) {
  const words = Array.from({ length: 16 }, (_, at) => block.readBigUInt64LE(at * 8));
  const work = [...state, ...IV];
  work[12] ^= counted & MASK;
  work[13] ^= counted >> 64n;
  if (isLast) work[14] ^= MASK;
  const mix = (a, b, c, d, x, y) => {
    work[a] = (work[a] + work[b] + x) & MASK;
    work[d] = rotate(work[d] ^ work[a], 32n);
    work[c] = (work[c] + work[d]) & MASK;
    work[b] = rotate(work[b] ^ work[c], 24n);
    work[a] = (work[a] + work[b] + y) & MASK;
    work[d] = rotate(work[d] ^ work[a], 16n);
    work[c] = (work[c] + work[d]) & MASK;
    work[b] = rotate(work[b] ^ work[c], 63n);
  };
  for (let round = 0; round < 12; round++) {
    const order = SIGMA[round % 10];
    const word = (at) => words[order[at]];
    mix(0, 4, 8, 12, word(0), word(1));
    mix(1, 5, 9, 13, word(2), word(3));
    mix(2, 6, 10, 14, word(4), word(5));
    mix(3, 7, 11, 15, word(6), word(7));
    mix(0, 5, 10, 15, word(8), word(9));
    mix(1, 6, 11, 12, word(10), word(11));
    mix(2, 7, 8, 13, word(12), word(13));
    mix(3, 4, 9, 14, word(14), word(15));
  }
  for (let at = 0; at < 8; at++) state[at] ^= work[at] ^ work[at + 8];
}
