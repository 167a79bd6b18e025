// Doc comments of what a package exports, read from its sources without compiling them.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

export interface Documented {
  readonly name: string;
  readonly kind: 'class' | 'function' | 'constant' | 'type';
  /** What is written before the body. */
  readonly signature: string;
  /** Text of the doc comment, `{@link}` resolved to names. */
  readonly text: string;
  readonly throws: readonly string[];
}

const printer = ts.createPrinter({ removeComments: true });

/** Exports of an index file and of the files that it passes on, in order. */
export function docComments(index: string): Documented[] {
  const source = ts.createSourceFile(index, readFileSync(index, 'utf8'), ts.ScriptTarget.Latest, true);
  return source.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined) {
      const path = (statement.moduleSpecifier as ts.StringLiteral).text;
      if (!path.startsWith('.')) return [];
      const inner = docComments(join(dirname(index), path.replace(/\.js$/, '.ts')));
      const { exportClause } = statement;
      if (exportClause === undefined || !ts.isNamedExports(exportClause)) return inner;
      const names = exportClause.elements.map((element) => (element.propertyName ?? element.name).text);
      return inner.filter(({ name }) => names.includes(name));
    }
    return exported(statement, source);
  });
}

function exported(statement: ts.Statement, source: ts.SourceFile): Documented[] {
  if (!ts.canHaveModifiers(statement)) return [];
  if (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) !== true) return [];
  const print = (node: ts.Node): string => printer.printNode(ts.EmitHint.Unspecified, node, source);
  const described = (name: string, kind: Documented['kind'], signature: string): Documented => ({
    name,
    kind,
    signature,
    ...commentOf(statement),
  });
  if (ts.isFunctionDeclaration(statement))
    return [described(statement.name?.text ?? '', 'function', print(withoutBody(statement)))];
  if (ts.isClassDeclaration(statement)) {
    const heritage = statement.heritageClauses?.map(print).join(' ') ?? '';
    const name = statement.name?.text ?? '';
    return [described(name, 'class', `class ${name} ${heritage}`.trim())];
  }
  if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement))
    return [described(statement.name.text, 'type', print(statement).replace(/^export /, ''))];
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map((declaration) => {
      const name = print(declaration.name);
      const { initializer } = declaration;
      if (initializer !== undefined && ts.isArrowFunction(initializer)) {
        const parameters = initializer.parameters.map(print).join(', ');
        const result = initializer.type === undefined ? '' : `: ${print(initializer.type)}`;
        return described(name, 'function', `function ${name}(${parameters})${result}`);
      }
      return described(name, 'constant', `const ${name}`);
    });
  return [];
}

const withoutBody = (node: ts.FunctionDeclaration): ts.FunctionDeclaration =>
  ts.factory.updateFunctionDeclaration(
    node,
    undefined,
    node.asteriskToken,
    node.name,
    node.typeParameters,
    node.parameters,
    node.type,
    undefined,
  );

function commentOf(node: ts.Node): Pick<Documented, 'text' | 'throws'> {
  const comments = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const plain = (comment: string | ts.NodeArray<ts.JSDocComment> | undefined): string =>
    (ts.getTextOfJSDocComment(comment) ?? '').replace(/\{@link (\w+)[^}]*\}/g, '`$1`').trim();
  const tags = comments.flatMap(({ tags = [] }) => [...tags]);
  return {
    text: comments.map(({ comment }) => plain(comment)).join('\n\n'),
    throws: tags.filter(({ tagName }) => tagName.text === 'throws').map(({ comment }) => plain(comment)),
  };
}
