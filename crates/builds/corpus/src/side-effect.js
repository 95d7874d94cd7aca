import "react";

console.log("loaded");
