// The end of the one file that is handed over, after `const files = {…}`: loads a file
// of it as Node would, once; anything else is Node's own.

const loaded = {};

function load(name) {
  if (!Object.hasOwn(files, name)) return require(name);
  if (!Object.hasOwn(loaded, name)) {
    loaded[name] = { exports: {} };
    files[name](loaded[name], load);
  }
  return loaded[name].exports;
}

load('./main.cjs');
