let version = null;
try {
  version = require("react").version;
} catch {
  version = "none";
}
console.log(version);
