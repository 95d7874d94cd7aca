const { version } = require("react");

exports.shown = "react " + version;
