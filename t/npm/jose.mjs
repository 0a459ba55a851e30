// Tokens that jose mints, and its judgement on others.
//
// Reads requests as lines of JSON, answers each with one, and ends with the
// set of the public keys that it made, one for each alg and kid:
//
//   {"alg":"RS256","kid":"k1","claims":{...},"header":{...}}
//     {"token":TOKEN}
//   {"verify":TOKEN,"jwks":SET,"options":{"issuer":...,"audience":...}}
//       SET is by default of the keys made so far
//     {"claims":{...}} or {"error":CODE}
//   {"keys":[...]}
//
// A secret for HS256 goes in as "secret", and is in no set.

import { webcrypto } from 'node:crypto';
import { createInterface } from 'node:readline';

globalThis.crypto ??= webcrypto;

const jose = await import('jose');
const keys = new Map();

async function key({ alg, kid, secret }) {
  if (secret !== undefined) {
    return { privateKey: new TextEncoder().encode(secret) };
  }

  const name = `${alg} ${kid ?? ''}`;

  if (!keys.has(name)) {
    const pair = await jose.generateKeyPair(alg, { extractable: true });
    const jwk = await jose.exportJWK(pair.publicKey);
    keys.set(name, { ...pair, jwk: { ...jwk, kid, alg, use: 'sig' } });
  }

  return keys.get(name);
}

const set = () => ({ keys: [...keys.values()].map(({ jwk }) => jwk) });

async function mint(request) {
  const { alg, kid, claims, header } = request;
  const { privateKey } = await key(request);
  const token = await new jose.SignJWT(claims ?? {})
    .setProtectedHeader({ alg, kid, typ: 'JWT', ...header })
    .sign(privateKey);
  return { token };
}

async function verify({ verify: token, jwks, secret, options }) {
  const by = secret === undefined ? jose.createLocalJWKSet(jwks ?? set())
                                  : new TextEncoder().encode(secret);
  try {
    const { payload } = await jose.jwtVerify(token, by, options);
    return { claims: payload };
  } catch (error) {
    return { error: error.code ?? error.name };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const answer = await ('verify' in request ? verify : mint)(request);
  process.stdout.write(JSON.stringify(answer) + '\n');
}

process.stdout.write(JSON.stringify(set()) + '\n');
