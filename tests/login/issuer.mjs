// A real OpenID Connect issuer for the test of the log-in: the npm package oidc-provider, in memory.
//
//   node issuer.mjs NODE_MODULES PORT KEY...
//
// PORT 0: any. A client for each algorithm that a KEY (ES256, RS256, EdDSA) signs with, of the same
// name in lower case; keys are new at every start. Prints {"issuer": URL} once it answers.
import http from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, port, ...algorithms] = process.argv.slice(2);
const library = join(resolve(modules), 'oidc-provider', 'lib', 'index.js');
const { default: Provider } = await import(pathToFileURL(library).href);

const makers = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
const keys = algorithms.map((alg) => ({
  ...makers[alg]().privateKey.export({ format: 'jwk' }),
  alg,
  use: 'sig',
}));

const server = http.createServer();
server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: algorithms.map((alg) => ({
      client_id: alg.toLowerCase(),
      token_endpoint_auth_method: 'none',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
      response_types: [],
      redirect_uris: [],
      id_token_signed_response_alg: alg,
    })),
    enabledJWA: { idTokenSigningAlgValues: algorithms },
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
    jwks: { keys },
    cookies: { keys: ['test'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  });
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
