// Functions of Node's modules that are replaced for a while.
'use strict';

/**
 * Puts `before(args)` in front of a function of a module. The new function looks like
 * the old one: name, length, and what hangs on it (`util.promisify`).
 *
 * @returns what puts the old function back, as far as nobody else has replaced it
 */
function precede(owner, name, before) {
  const original = owner[name];
  const state = { watching: true };
  const replaced = {
    [name](...args) {
      if (state.watching) {
        quietly(() => before(this, args));
      }
      return Reflect.apply(original, this, args);
    },
  }[name];
  Object.defineProperties(replaced, Object.getOwnPropertyDescriptors(original));
  owner[name] = replaced;
  return () => {
    // Whoever kept the new function gets the old one's behaviour.
    state.watching = false;
    if (owner[name] === replaced) owner[name] = original;
  };
}

/** Whoever only watches must not be the reason why something fails. */
function quietly(act) {
  try {
    act();
  } catch {
    // What cannot be watched is not recorded.
  }
}

module.exports = { precede, quietly };
