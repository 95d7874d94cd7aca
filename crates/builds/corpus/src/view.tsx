export const View = ({ name }: { name: string }) => <b>{name}</b>;
console.log(typeof View);
