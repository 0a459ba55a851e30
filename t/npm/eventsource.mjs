// A stream of events as clients for JavaScript see it.
//
//   node eventsource.mjs URL [OPTIONS]
//
// OPTIONS is an object in JSON:
//
//   client   "eventsource", which reconnects, or "fetch", which does not
//   events   names of events that are listened to, beside "message"; fetch
//            listens to all
//   count    ends after so many events
//   until    ends after an event with this data
//   method, headers, body    of the request; EventSource takes headers alone
//
// It ends too when the client has given up or, with fetch, at the end.  Each
// thing that happens is a line of JSON, "time" in seconds:
//
//   {"type":"open","status","headers"}
//   {"type":NAME,"data","lastEventId"}
//   {"type":"error","message","status","readyState"}     2: it has given up
//   {"type":"end"}                                       fetch

import { EventSource } from 'eventsource';
import { createParser } from 'eventsource-parser';

const [url, json] = process.argv.slice(2);
const options = { client: 'eventsource', events: [], headers: {},
                  ...JSON.parse(json ?? '{}') };
let count = 0;

function tell(what) {
  const line = { ...what, time: Date.now() / 1000 };
  process.stdout.write(JSON.stringify(line) + '\n');
}

// True when it was the last that is asked for.
function event(type, data, lastEventId) {
  tell({ type, data, lastEventId });
  return ++count === options.count || data === options.until;
}

const opened = (response) => tell({
  type: 'open', status: response.status,
  headers: Object.fromEntries(response.headers),
});

function eventsource() {
  const source = new EventSource(url, {
    fetch: async (input, init) => {
      const headers = { ...init.headers, ...options.headers };
      const response = await fetch(input, { ...init, headers });
      if (response.ok) {
        opened(response);
      }
      return response;
    },
  });

  for (const name of ['message', ...options.events]) {
    source.addEventListener(name, (e) => {
      if (source.readyState !== EventSource.CLOSED
          && event(e.type, e.data, e.lastEventId))
      {
        source.close();
      }
    });
  }

  source.addEventListener('error', (e) => tell({
    type: 'error', message: e.message, status: e.code,
    readyState: source.readyState,
  }));
}

async function read() {
  const { method, body } = options;
  const decoder = new TextDecoder();
  let last = '';
  let over = false;

  const parser = createParser({
    onEvent: ({ event: name, data, id }) => {
      last = id ?? last;
      over ||= event(name ?? 'message', data, last);
    },
  });

  try {
    const response = await fetch(url, {
      method, body,
      headers: { Accept: 'text/event-stream', ...options.headers },
    });
    opened(response);
    for await (const bytes of response.body ?? []) {
      parser.feed(decoder.decode(bytes, { stream: true }));
      if (over) {
        return;
      }
    }
    tell({ type: 'end' });
  } catch (error) {
    tell({ type: 'error', message: `${error.cause ?? error}` });
  }
}

await (options.client === 'fetch' ? read : eventsource)();
