const { version } = require("react");

console.log(version);
