// Looks for front-end imports as a script does: line by line, with regular expressions.
//
//   node scan.cjs BUNDLE
'use strict';
const { readFileSync } = require('node:fs');

const FORBIDDEN = [
    { label: 'React', patterns: [/require\(["']react["']\)/, /from\s+["']react["']/] },
    { label: 'React DOM', patterns: [/require\(["']react-dom["']\)/, /from\s+["']react-dom["']/] },
    {
        label: 'React JSX runtime',
        patterns: [/require\(["']react\/jsx-(dev-)?runtime["']\)/, /from\s+["']react\/jsx-(dev-)?runtime["']/],
    },
    { label: 'Front-end exports', patterns: [/require\(["'][^"']+\/frontend["']\)/, /from\s+["'][^"']+\/frontend["']/] },
];

const [bundle] = process.argv.slice(2);
const lines = readFileSync(bundle, 'utf8').split('\n');
const issues = [];
for (const { label, patterns } of FORBIDDEN) {
    const found = [];
    lines.forEach((line, index) => {
        if (patterns.some((pattern) => pattern.test(line))) found.push({ number: index + 1, line: line.trim() });
    });
    if (found.length > 0) issues.push({ label, found });
}
if (issues.length === 0) {
    console.log(`✅ ${bundle}: clean`);
} else {
    console.log(`❌ ${bundle}: Found ${issues.length} issue(s):`);
    for (const { label, found } of issues) {
        console.log(`   ⚠️  ${label}: ${found.length} occurrence(s)`);
        for (const { number, line } of found) console.log(`      Line ${number}: ${line.slice(0, 160)}`);
    }
    process.exitCode = 1;
}
