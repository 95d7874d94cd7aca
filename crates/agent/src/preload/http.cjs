// What a drain does to HTTP/1 responses.
'use strict';

/** Whether a response of this type goes on until somebody ends it. */
function isEventStream(contentType) {
  return /^\s*text\/event-stream\b/i.test(contentType ?? '');
}

/** Whether the head that was sent says that events follow. */
function sendsEvents(response) {
  // Node keeps the head as it was sent; `getHeader` does not know all of it.
  const [, type] = /^content-type:(.*)$/im.exec(response._header ?? '') ?? [];
  return response.headersSent && isEventStream(type);
}

/**
 * Lets a response say `Connection: close`, whatever the application sets itself; one
 * whose head is sent already is left as it is.
 *
 * @param isLast whether no other request waits behind this one, which would be lost
 * @param told is called once that is said
 */
function tellToClose(response, isLast, told) {
  if (response.headersSent) {
    return;
  }
  const { writeHead } = response;
  // Node calls it too, where the application does not.
  response.writeHead = function (status, ...rest) {
    if (this.headersSent || !isLast()) {
      return Reflect.apply(writeHead, this, [status, ...rest]);
    }
    this.shouldKeepAlive = false;
    if (this.hasHeader('connection')) {
      this.setHeader('Connection', 'close');
    }
    const result = Reflect.apply(writeHead, this, [status, ...rest.map(withoutConnection)]);
    told();
    return result;
  };
}

/** The headers of a call of `writeHead`, as an object or as an array, without this one. */
function withoutConnection(headers) {
  if (typeof headers !== 'object' || headers === null) {
    return headers;
  }
  const others = (name) => String(name).toLowerCase() !== 'connection';
  if (!Array.isArray(headers)) {
    return Object.fromEntries(Object.entries(headers).filter(([name]) => others(name)));
  }
  if (Array.isArray(headers[0])) {
    return headers.filter(([name]) => others(name));
  }
  return headers.filter((_, index) => others(headers[index - (index % 2)]));
}

module.exports = { isEventStream, sendsEvents, tellToClose };
