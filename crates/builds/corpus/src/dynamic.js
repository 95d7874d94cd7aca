const { version } = await load();

function load() {
  return import("react");
}
console.log(version);
