// require("react") and import "react" in a comment
/* import("react"); require('react-dom') */
const text = 'const React = require("react");';
const template = `import x from "react"; ${text} require("react")`;
const pattern = /require\("react"\)|from "react"/;
/** @type {import("react").FC} */
const view = null;
const path = "node_modules/react/index.js";
const table = { "node_modules/react/index.js": 1, react: 2, require: (name) => name };
console.log(text, template, pattern, view, path, table.require("react").length, "react-dom/client");
