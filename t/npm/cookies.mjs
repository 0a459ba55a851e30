// Cookies as the real @supabase/ssr writes and reads them.
//
// Reads requests as lines of JSON and answers each with one:
//
//   {"write":[SESSION...],"url":URL,"encoding":"raw"|"base64url",
//    "client":"server"|"browser"}
//       SESSIONs, each what Supabase's server answers to a login, are written
//       one over the other; what is deleted stays behind empty
//     {"cookies":[{"name","value"}...],"header":COOKIE}
//   {"read":COOKIE,"url":URL}
//     {"token":TOKEN or null}

import { createInterface } from 'node:readline';

import {
  createBrowserClient, createServerClient, parseCookieHeader,
  serializeCookieHeader,
} from '@supabase/ssr';

// No socket is opened: what the package asks of its server is answered here.
function client(request, cookies, answers = []) {
  const queue = [...answers];
  const fetch = async () => queue.length
    ? new Response(JSON.stringify(queue.shift()), {
        status: 200, headers: { 'content-type': 'application/json' },
      })
    : new Response('{}', { status: 400 });

  const create = request.client === 'browser' ? createBrowserClient
                                              : createServerClient;
  return create(request.url, 'key', {
    cookies,
    cookieEncoding: request.encoding ?? 'base64url',
    isSingleton: false,
    auth: { autoRefreshToken: false },
    realtime: { transport: class {} },
    global: { fetch },
  });
}

async function write(request) {
  const jar = new Map();
  const supabase = client(request, {
    getAll: () => [...jar].map(([name, value]) => ({ name, value })),
    setAll: (cookies) => {
      for (const { name, value } of cookies) {
        jar.set(name, value);
      }
    },
  }, request.write);

  for (let i = 0; i < request.write.length; i++) {
    const { error } = await supabase.auth.signInWithPassword({
      email: 'user@oa.example', password: 'password',
    });
    if (error) {
      throw error;
    }
  }

  const cookies = [...jar].map(([name, value]) => ({ name, value }));
  const pair = ({ name, value }) => serializeCookieHeader(name, value, {});
  return { cookies, header: cookies.map(pair).join('; ') };
}

async function read(request) {
  const supabase = client(request, {
    getAll: () => parseCookieHeader(request.read),
    setAll: () => {},
  });

  try {
    const { data } = await supabase.auth.getSession();
    return { token: data.session?.access_token ?? null };
  } catch {
    return { token: null };
  }
}

console.warn = console.debug = () => {};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const answer = await ('write' in request ? write : read)(request);
  process.stdout.write(JSON.stringify(answer) + '\n');
}
