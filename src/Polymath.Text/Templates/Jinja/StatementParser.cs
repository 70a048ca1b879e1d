namespace Polymath.Text.Templates.Jinja;

/// <summary>Reads a whole template.</summary>
internal sealed class StatementParser
{
    private readonly TokenReader tokens;
    private readonly ExpressionParser expressions;
    private readonly HashSet<string> blocks = new(StringComparer.Ordinal);
    private readonly List<string> open = [];
    private int loops;

    private StatementParser(TokenReader tokens) => (this.tokens, expressions) = (tokens, new(tokens));

    /// <summary>The statements of a template.</summary>
    public static IReadOnlyList<Statement> Parse(string source)
    {
        var tokens = new TokenReader(Lexer.Read(source));
        try
        {
            var parser = new StatementParser(tokens);
            var body = parser.Body();
            return parser.expressions.Unknown.Count == 0 ? body : throw parser.expressions.Unknown[0];
        }
        catch (JinjaFault fault) when (fault.Line == 0)
        {
            fault.Line = tokens.Current.Line;
            throw;
        }
    }

    /// <summary>Statements up to one of their end tags; the tag's name is not consumed.</summary>
    private List<Statement> Body(params string[] ends)
    {
        Meter.Stack();
        var body = new List<Statement>();
        while (true)
        {
            var line = tokens.Current.Line;
            switch (tokens.Current.Kind)
            {
                case TokenKind.Data:
                    body.Add(new Data(line, tokens.Next().Value));
                    break;
                case TokenKind.VariableBegin:
                    tokens.Next();
                    body.Add(new Output(line, expressions.ParseTuple()));
                    tokens.Expect(TokenKind.VariableEnd);
                    break;
                case TokenKind.BlockBegin:
                    tokens.Next();
                    if (tokens.Current.Kind == TokenKind.Name && ends.Contains(tokens.Current.Value))
                        return body;
                    body.Add(Tag(line));
                    tokens.Expect(TokenKind.BlockEnd);
                    break;
                default:
                    return ends.Length == 0 && tokens.Current.Kind == TokenKind.End ? body
                        : throw tokens.Fault($"{{% {string.Join(" or ", ends)} %}} is missing");
            }
        }
    }

    /// <summary>A body after the tag's end, with the name of its end tag.</summary>
    private List<Statement> Inner(bool soft, params string[] ends)
    {
        var before = expressions.Soft;
        expressions.Soft = soft;
        tokens.Expect(TokenKind.BlockEnd);
        open.Add(ends[0]);
        var body = Body(ends);
        open.RemoveAt(open.Count - 1);
        expressions.Soft = before;
        return body;
    }

    private List<Statement> Closed(bool soft, string end)
    {
        var body = Inner(soft, end);
        tokens.Next();
        return body;
    }

    /// <summary>A body from which 'break' and 'continue' cannot leave the loops around it.</summary>
    private List<Statement> Apart(string end)
    {
        (var loops, this.loops) = (this.loops, 0);
        var body = Closed(false, end);
        this.loops = loops;
        return body;
    }

    private Statement Tag(int line)
    {
        var tag = tokens.Expect(TokenKind.Name);
        switch (tag)
        {
            case "if":
                return ParseIf(line);
            case "for":
                return ParseFor(line);
            case "set":
                return ParseSet(line);
            case "macro":
                return ParseMacro(line, tokens.Expect(TokenKind.Name), "endmacro", signature: true);
            case "call":
                return ParseCall(line);
            case "filter":
                var filter = (Filter)expressions.ParseFilter(null, begun: true)!;
                return new FilterBlock(line, filter, Closed(false, "endfilter"));
            case "with":
                return ParseWith(line);
            case "generation":
                return new Block(line, null, Apart("endgeneration"));
            case "block":
                return ParseBlock(line);
            case "print":
                return new Output(line, expressions.ParseTuple());
            case "autoescape":
                expressions.Parse();
                return new With(line, [], Closed(false, "endautoescape"));
            case "break" or "continue":
                return loops > 0
                    ? new Leave(line, tag == "break")
                    : throw new JinjaFault($"'{tag}' is outside a loop") { Line = line };
            case "extends" or "include" or "import" or "from":
                while (tokens.Current.Kind is not (TokenKind.BlockEnd or TokenKind.End)) tokens.Next();
                return new Foreign(line, tag);
            default:
                var open = this.open.Count > 0 ? $"; the innermost open block ends with '{this.open[^1]}'" : "";
                throw new JinjaFault($"there is no tag '{tag}' here{open}") { Line = line };
        }
    }

    private If ParseIf(int line)
    {
        var branches = new List<(Expression?, IReadOnlyList<Statement>)>();
        for (string? next = "if"; next is "if" or "elif";)
        {
            var before = expressions.Soft;
            expressions.Soft = true;
            var test = expressions.ParseTuple(choice: false);
            expressions.Soft = before;
            branches.Add((test, Inner(true, "endif", "elif", "else")));
            next = tokens.Next().Value;
            if (next == "else")
                branches.Add((null, Closed(true, "endif")));
        }
        return new If(line, branches);
    }

    private For ParseFor(int line)
    {
        var target = expressions.ParseTarget(endName: "in");
        tokens.ExpectName("in");
        var items = expressions.ParseTuple(choice: false, endName: "recursive");
        var filter = tokens.SkipName("if") ? expressions.Parse() : null;
        var recursive = tokens.SkipName("recursive");
        loops++;
        var body = Inner(false, "endfor", "else");
        loops--;
        var otherwise = tokens.Next().Value == "else" ? Closed(false, "endfor") : [];
        return new For(
            line,
            target,
            items,
            filter,
            recursive,
            body,
            otherwise);
    }

    private Statement ParseSet(int line)
    {
        var target = expressions.ParseTarget(members: true);
        if (tokens.Skip("="))
            return new Set(line, target, expressions.ParseTuple());
        var filter = (Filter?)expressions.ParseFilter(null);
        return new SetBlock(line, target, filter, Closed(false, "endset"));
    }

    private Macro ParseMacro(int line, string name, string end, bool signature)
    {
        var parameters = signature ? Signature() : [];
        var from = tokens.At;
        var body = Apart(end);
        return new Macro(line, name, parameters, body)
        {
            Varargs = tokens.Speaks("varargs", from),
            Kwargs = tokens.Speaks("kwargs", from),
            Caller = tokens.Speaks("caller", from),
        };
    }

    private List<Parameter> Signature()
    {
        var parameters = new List<Parameter>();
        tokens.Expect("(");
        while (!tokens.Current.Is(")"))
        {
            if (parameters.Count > 0)
                tokens.Expect(",");
            var name = tokens.Expect(TokenKind.Name);
            var standard = tokens.Skip("=") ? expressions.Parse() : null;
            if (standard is null && parameters.Count > 0 && parameters[^1].Default is not null)
                throw tokens.Fault($"the parameter '{name}' has no default but follows one with a default");
            if (parameters.Any(other => other.Name == name))
                throw tokens.Fault($"two parameters are named '{name}'");
            parameters.Add(new(name, standard));
        }
        tokens.Expect(")");
        return parameters;
    }

    private CallBlock ParseCall(int line)
    {
        var parameters = tokens.Current.Is("(") ? Signature() : [];
        var call = expressions.Parse() as Call ?? throw new JinjaFault("a call is expected after 'call'") { Line = line };
        var body = ParseMacro(line, "caller", "endcall", signature: false);
        return new CallBlock(line, call, body with { Parameters = parameters });
    }

    private With ParseWith(int line)
    {
        var assignments = new List<(Target, Expression)>();
        while (tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
                tokens.Expect(",");
            var target = expressions.ParseTarget();
            tokens.Expect("=");
            assignments.Add((target, expressions.Parse()));
        }
        return new With(line, assignments, Closed(false, "endwith"));
    }

    private Block ParseBlock(int line)
    {
        var name = tokens.Expect(TokenKind.Name);
        if (!blocks.Add(name))
            throw new JinjaFault($"two blocks are named '{name}'") { Line = line };
        while (tokens.SkipName("scoped") || tokens.SkipName("required")) { }
        var body = Apart("endblock");
        tokens.SkipName(name);
        return new Block(line, name, body);
    }
}
