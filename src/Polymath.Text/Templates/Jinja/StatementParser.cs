namespace Polymath.Text.Templates.Jinja;

/// <summary>Reads a whole template.</summary>
internal sealed class StatementParser
{
    private readonly TokenReader _tokens;
    private readonly ExpressionParser _expressions;
    private readonly HashSet<string> _blocks = new(StringComparer.Ordinal);
    private readonly List<string> _open = [];
    private int _loops;

    private StatementParser(TokenReader tokens) => (_tokens, _expressions) = (tokens, new(tokens));

    /// <summary>The statements of a template.</summary>
    public static IReadOnlyList<Statement> Parse(string source)
    {
        var tokens = new TokenReader(Lexer.Read(source));
        try
        {
            var parser = new StatementParser(tokens);
            var body = parser.Body();
            return parser._expressions.Unknown.Count == 0 ? body : throw parser._expressions.Unknown[0];
        }
        catch (JinjaFault fault) when (fault.Line == 0)
        {
            fault.Line = tokens.Current.Line;
            throw;
        }
    }

    /// <summary>Statements up to one of the tags that end them; the tag's name is left to read.</summary>
    private List<Statement> Body(params string[] ends)
    {
        Meter.Stack();
        var body = new List<Statement>();
        while (true)
        {
            var line = _tokens.Current.Line;
            switch (_tokens.Current.Kind)
            {
                case TokenKind.Data:
                    body.Add(new Data(line, _tokens.Next().Value));
                    break;
                case TokenKind.VariableBegin:
                    _tokens.Next();
                    body.Add(new Output(line, _expressions.ParseTuple()));
                    _tokens.Expect(TokenKind.VariableEnd);
                    break;
                case TokenKind.BlockBegin:
                    _tokens.Next();
                    if (_tokens.Current.Kind == TokenKind.Name && ends.Contains(_tokens.Current.Value))
                        return body;
                    body.Add(Tag(line));
                    _tokens.Expect(TokenKind.BlockEnd);
                    break;
                default:
                    return ends.Length == 0 && _tokens.Current.Kind == TokenKind.End ? body
                        : throw _tokens.Fault($"{{% {string.Join(" or ", ends)} %}} is missing");
            }
        }
    }

    /// <summary>A body behind the tag's end, with its end tag's name.</summary>
    private List<Statement> Inner(bool soft, params string[] ends)
    {
        var before = _expressions.Soft;
        _expressions.Soft = soft;
        _tokens.Expect(TokenKind.BlockEnd);
        _open.Add(ends[0]);
        var body = Body(ends);
        _open.RemoveAt(_open.Count - 1);
        _expressions.Soft = before;
        return body;
    }

    private List<Statement> Closed(bool soft, string end)
    {
        var body = Inner(soft, end);
        _tokens.Next();
        return body;
    }

    /// <summary>A body that loops around it cannot be left from.</summary>
    private List<Statement> Apart(string end)
    {
        (var loops, _loops) = (_loops, 0);
        var body = Closed(false, end);
        _loops = loops;
        return body;
    }

    private Statement Tag(int line)
    {
        var tag = _tokens.Expect(TokenKind.Name);
        switch (tag)
        {
            case "if":
                return ParseIf(line);
            case "for":
                return ParseFor(line);
            case "set":
                return ParseSet(line);
            case "macro":
                return ParseMacro(line, _tokens.Expect(TokenKind.Name), "endmacro", signature: true);
            case "call":
                return ParseCall(line);
            case "filter":
                var filter = (Filter)_expressions.ParseFilter(null, begun: true)!;
                return new FilterBlock(line, filter, Closed(false, "endfilter"));
            case "with":
                return ParseWith(line);
            case "generation":
                return new Block(line, null, Apart("endgeneration"));
            case "block":
                return ParseBlock(line);
            case "print":
                return new Output(line, _expressions.ParseTuple());
            case "autoescape":
                _expressions.Parse();
                return new With(line, [], Closed(false, "endautoescape"));
            case "break" or "continue":
                return _loops > 0
                    ? new Leave(line, tag == "break")
                    : throw new JinjaFault($"'{tag}' stands outside a loop") { Line = line };
            case "extends" or "include" or "import" or "from":
                while (_tokens.Current.Kind is not (TokenKind.BlockEnd or TokenKind.End)) _tokens.Next();
                return new Foreign(line, tag);
            default:
                var open = _open.Count > 0 ? $"; the innermost open block ends with '{_open[^1]}'" : "";
                throw new JinjaFault($"there is no tag '{tag}' here{open}") { Line = line };
        }
    }

    private If ParseIf(int line)
    {
        var branches = new List<(Expression?, IReadOnlyList<Statement>)>();
        for (string? next = "if"; next is "if" or "elif";)
        {
            var before = _expressions.Soft;
            _expressions.Soft = true;
            var test = _expressions.ParseTuple(choice: false);
            _expressions.Soft = before;
            branches.Add((test, Inner(true, "endif", "elif", "else")));
            next = _tokens.Next().Value;
            if (next == "else")
                branches.Add((null, Closed(true, "endif")));
        }
        return new If(line, branches);
    }

    private For ParseFor(int line)
    {
        var target = _expressions.ParseTarget(endName: "in");
        _tokens.ExpectName("in");
        var items = _expressions.ParseTuple(choice: false, endName: "recursive");
        var filter = _tokens.SkipName("if") ? _expressions.Parse() : null;
        var recursive = _tokens.SkipName("recursive");
        _loops++;
        var body = Inner(false, "endfor", "else");
        _loops--;
        var otherwise = _tokens.Next().Value == "else" ? Closed(false, "endfor") : [];
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
        var target = _expressions.ParseTarget(members: true);
        if (_tokens.Skip("="))
            return new Set(line, target, _expressions.ParseTuple());
        var filter = (Filter?)_expressions.ParseFilter(null);
        return new SetBlock(line, target, filter, Closed(false, "endset"));
    }

    private Macro ParseMacro(int line, string name, string end, bool signature)
    {
        var parameters = signature ? Signature() : [];
        var from = _tokens.At;
        var body = Apart(end);
        return new Macro(line, name, parameters, body)
        {
            Varargs = _tokens.Speaks("varargs", from),
            Kwargs = _tokens.Speaks("kwargs", from),
            Caller = _tokens.Speaks("caller", from),
        };
    }

    private List<Parameter> Signature()
    {
        var parameters = new List<Parameter>();
        _tokens.Expect("(");
        while (!_tokens.Current.Is(")"))
        {
            if (parameters.Count > 0)
                _tokens.Expect(",");
            var name = _tokens.Expect(TokenKind.Name);
            var standard = _tokens.Skip("=") ? _expressions.Parse() : null;
            if (standard is null && parameters.Count > 0 && parameters[^1].Default is not null)
                throw _tokens.Fault($"the parameter '{name}' has no default but stands behind one that has");
            if (parameters.Any(other => other.Name == name))
                throw _tokens.Fault($"two parameters are named '{name}'");
            parameters.Add(new(name, standard));
        }
        _tokens.Expect(")");
        return parameters;
    }

    private CallBlock ParseCall(int line)
    {
        var parameters = _tokens.Current.Is("(") ? Signature() : [];
        var call = _expressions.Parse() as Call ?? throw new JinjaFault("a call is expected behind 'call'") { Line = line };
        var body = ParseMacro(line, "caller", "endcall", signature: false);
        return new CallBlock(line, call, body with { Parameters = parameters });
    }

    private With ParseWith(int line)
    {
        var assignments = new List<(Target, Expression)>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
                _tokens.Expect(",");
            var target = _expressions.ParseTarget();
            _tokens.Expect("=");
            assignments.Add((target, _expressions.Parse()));
        }
        return new With(line, assignments, Closed(false, "endwith"));
    }

    private Block ParseBlock(int line)
    {
        var name = _tokens.Expect(TokenKind.Name);
        if (!_blocks.Add(name))
            throw new JinjaFault($"two blocks are named '{name}'") { Line = line };
        while (_tokens.SkipName("scoped") || _tokens.SkipName("required")) { }
        var body = Apart("endblock");
        _tokens.SkipName(name);
        return new Block(line, name, body);
    }
}
