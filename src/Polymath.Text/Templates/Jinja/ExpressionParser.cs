using System.Globalization;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Reads expressions, with Jinja's precedence.</summary>
/// <param name="tokens">The tokens.</param>
internal sealed class ExpressionParser(TokenReader tokens)
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    /// <summary>Whether an unknown filter is reported only when it is used: inside branches.</summary>
    public bool Soft { get; set; }

    /// <summary>Unknown filters and tests outside branches.</summary>
    public List<JinjaFault> Unknown { get; } = [];

    /// <summary>An expression.</summary>
    /// <param name="choice">Whether <c>a if b else c</c> is allowed here.</param>
    public Expression Parse(bool choice = true)
    {
        Meter.Stack();
        return choice ? ParseChoice() : ParseOr();
    }

    /// <summary>An expression, or several with commas: a tuple.</summary>
    public Expression ParseTuple(bool choice = true, string? endName = null, bool parentheses = false)
    {
        var parts = new List<Expression>();
        var tuple = false;
        while (true)
        {
            if (parts.Count > 0)
                tokens.Expect(",");
            if (AtTupleEnd(endName))
                break;
            parts.Add(Parse(choice));
            if (!tokens.Current.Is(","))
                break;
            tuple = true;
        }
        if (!tuple && parts.Count == 1)
            return parts[0];
        return tuple || parentheses
            ? new Items('(', parts)
            : throw tokens.Fault($"an expression is expected, found {tokens.Current.Shown}");
    }

    /// <summary>The target of an assignment.</summary>
    public Target ParseTarget(bool members = false, string? endName = null)
    {
        var parts = new List<Target>();
        var tuple = false;
        while (true)
        {
            if (parts.Count > 0)
                tokens.Expect(",");
            if (AtTupleEnd(endName))
                break;
            parts.Add(OneTarget(members));
            if (!tokens.Current.Is(","))
                break;
            tuple = true;
        }
        if (!tuple && parts.Count == 1)
            return parts[0];
        return parts.Count > 0 ? new TupleTarget(parts) : throw tokens.Fault($"a name is expected, found {tokens.Current.Shown}");
    }

    private Target OneTarget(bool members)
    {
        Meter.Stack();
        if (tokens.Skip("("))
        {
            var inner = ParseTarget();
            tokens.Expect(")");
            return inner;
        }
        var name = tokens.Expect(TokenKind.Name);
        if (name is "true" or "false" or "none" or "True" or "False" or "None")
            throw tokens.Fault($"'{name}' cannot be assigned to");
        return members && tokens.Skip(".") ? new NamespaceTarget(name, tokens.Expect(TokenKind.Name)) : new NameTarget(name);
    }

    private bool AtTupleEnd(string? endName) =>
        tokens.Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd
            || tokens.Current.Is(")") || (endName is not null && tokens.Current.IsName(endName));

    private Expression ParseChoice()
    {
        var before = Soft;
        var known = Unknown.Count;
        var at = ParseOr();
        while (tokens.SkipName("if"))
        {
            // The expression before the 'if' is also a branch.
            Unknown.RemoveRange(known, Unknown.Count - known);
            Soft = true;
            var test = ParseOr();
            at = new Choice(test, at, tokens.SkipName("else") ? Parse() : null);
            Soft = before;
        }
        return at;
    }

    private Expression ParseOr()
    {
        var left = ParseAnd();
        while (tokens.SkipName("or")) left = new Logic(false, left, ParseAnd());
        return left;
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (tokens.SkipName("and")) left = new Logic(true, left, ParseNot());
        return left;
    }

    private Expression ParseNot()
    {
        Meter.Stack();
        return tokens.SkipName("not") ? new Unary("not", ParseNot()) : ParseComparison();
    }

    private Expression ParseComparison()
    {
        var first = ParseSum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            if (tokens.Current.Kind == TokenKind.Operator && Comparisons.Contains(tokens.Current.Value))
                rest.Add((tokens.Next().Value, ParseSum()));
            else if (tokens.SkipName("in"))
                rest.Add(("in", ParseSum()));
            else if (tokens.Current.IsName("not") && tokens.Following.IsName("in"))
            {
                tokens.Next();
                tokens.Next();
                rest.Add(("not in", ParseSum()));
            }
            else
                return rest.Count == 0 ? first : new Comparison(first, rest);
        }
    }

    private Expression ParseSum()
    {
        var left = ParseJoin();
        while (tokens.Current.Is("+") || tokens.Current.Is("-")) left = new Binary(tokens.Next().Value, left, ParseJoin());
        return left;
    }

    private Expression ParseJoin()
    {
        var parts = new List<Expression> { ParseProduct() };
        while (tokens.Skip("~")) parts.Add(ParseProduct());
        return parts.Count == 1 ? parts[0] : new Items('~', parts);
    }

    private Expression ParseProduct()
    {
        var left = ParsePower();
        while (tokens.Current is { Kind: TokenKind.Operator, Value: "*" or "/" or "//" or "%" })
            left = new Binary(tokens.Next().Value, left, ParsePower());
        return left;
    }

    private Expression ParsePower()
    {
        var left = ParseUnary();
        while (tokens.Skip("**")) left = new Binary("**", left, ParseUnary());
        return left;
    }

    private Expression ParseUnary(bool filters = true)
    {
        Meter.Stack();
        var at = tokens.Current.Is("-") || tokens.Current.Is("+") ? new Unary(tokens.Next().Value, ParseUnary(false)) : ParsePrimary();
        at = ParsePostfix(at);
        return filters ? ParseFilters(at) : at;
    }

    private Expression ParsePrimary()
    {
        var token = tokens.Next();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return token.Value switch
                {
                    "true" or "True" => new Constant(true),
                    "false" or "False" => new Constant(false),
                    "none" or "None" => new Constant(None.Value),
                    _ => new Variable(token.Value),
                };
            case TokenKind.Text:
                var text = token.Value;
                while (tokens.Current.Kind == TokenKind.Text) text += tokens.Next().Value;
                return new Constant(text);
            case TokenKind.Integer:
                return new Constant(PythonNumbers.Written(token.Value));
            case TokenKind.Float:
                return new Constant(double.Parse(token.Value.Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture));
            case TokenKind.Operator when token.Value == "(":
                var inner = ParseTuple(parentheses: true);
                tokens.Expect(")");
                return inner;
            case TokenKind.Operator when token.Value == "[":
                return ParseList();
            case TokenKind.Operator when token.Value == "{":
                return ParsePairs();
            default:
                throw new JinjaFault($"a value is expected, found {token.Shown}") { Line = token.Line };
        }
    }

    private Items ParseList()
    {
        var parts = new List<Expression>();
        while (!tokens.Current.Is("]"))
        {
            if (parts.Count > 0)
                tokens.Expect(",");
            if (tokens.Current.Is("]"))
                break;
            parts.Add(Parse());
        }
        tokens.Expect("]");
        return new Items('[', parts);
    }

    private Pairs ParsePairs()
    {
        var entries = new List<(Expression, Expression)>();
        while (!tokens.Current.Is("}"))
        {
            if (entries.Count > 0)
                tokens.Expect(",");
            if (tokens.Current.Is("}"))
                break;
            var key = Parse();
            tokens.Expect(":");
            entries.Add((key, Parse()));
        }
        tokens.Expect("}");
        return new Pairs(entries);
    }

    private Expression ParsePostfix(Expression at)
    {
        while (true)
        {
            if (tokens.Skip("."))
            {
                if (tokens.Current.Kind is not (TokenKind.Name or TokenKind.Integer))
                    throw tokens.Fault($"a name or a number is expected after '.', found {tokens.Current.Shown}");
                at = tokens.Current.Kind == TokenKind.Name
                    ? new Member(at, tokens.Next().Value)
                    : new Element(at, new Constant(PythonNumbers.Written(tokens.Next().Value)));
            }
            else if (tokens.Skip("["))
                at = new Element(at, ParseIndex());
            else if (tokens.Current.Is("("))
                at = new Call(at, ParseArguments());
            else
                return at;
        }
    }

    private Expression ParseIndex()
    {
        var parts = new List<Expression>();
        while (!tokens.Current.Is("]"))
        {
            if (parts.Count > 0)
                tokens.Expect(",");
            parts.Add(ParseSubscript());
        }
        tokens.Expect("]");
        return parts.Count == 1 ? parts[0] : new Items('(', parts);
    }

    private Expression ParseSubscript()
    {
        Expression? first = null;
        if (!tokens.Current.Is(":"))
        {
            first = Parse();
            if (!tokens.Current.Is(":"))
                return first;
        }
        tokens.Expect(":");
        var last = AtPart() ? Parse() : null;
        var step = tokens.Skip(":") && AtPart() ? Parse() : null;
        return new Slice(first, last, step);

        bool AtPart() => !tokens.Current.Is(":") && !tokens.Current.Is("]") && !tokens.Current.Is(",");
    }

    private CallArguments ParseArguments()
    {
        tokens.Expect("(");
        var positional = new List<Expression>();
        var named = new List<(string, Expression)>();
        Expression? star = null, starStar = null;
        for (var first = true; !tokens.Current.Is(")"); first = false)
        {
            if (!first)
            {
                tokens.Expect(",");
                if (tokens.Current.Is(")"))
                    break;
            }
            if (tokens.Current.Is("*") && star is null && starStar is null)
                (_, star) = (tokens.Next(), Parse());
            else if (tokens.Current.Is("**") && starStar is null)
                (_, starStar) = (tokens.Next(), Parse());
            else if (tokens.Current.Kind == TokenKind.Name && tokens.Following.Is("=") && starStar is null)
            {
                var name = tokens.Next().Value;
                tokens.Next();
                named.Add((name, Parse()));
            }
            else if (star is null && starStar is null && named.Count == 0)
                positional.Add(Parse());
            else
                throw tokens.Fault("an argument without a name follows one with a name");
        }
        tokens.Expect(")");
        return new CallArguments(positional, named, star, starStar);
    }

    private Expression ParseFilters(Expression at)
    {
        while (true)
        {
            if (tokens.Current.Is("|"))
                at = ParseFilter(at)!;
            else if (tokens.Current.IsName("is"))
                at = ParseTest(at);
            else if (tokens.Current.Is("("))
                at = new Call(at, ParseArguments());
            else
                return at;
        }
    }

    /// <summary>Filters in a row.</summary>
    /// <param name="at">The filtered value; null for a block's text.</param>
    /// <param name="begun">Whether the first one has no bar.</param>
    public Expression? ParseFilter(Expression? at, bool begun = false)
    {
        while (begun || tokens.Skip("|"))
        {
            begun = false;
            var name = DottedName();
            if (!Soft && !Filters.All.ContainsKey(name))
                Unknown.Add(tokens.Fault($"there is no filter named '{name}'"));
            at = new Filter(at, name, tokens.Current.Is("(") ? ParseArguments() : CallArguments.None);
        }
        return at;
    }

    private Expression ParseTest(Expression at)
    {
        tokens.ExpectName("is");
        var negated = tokens.SkipName("not");
        var name = DottedName();
        if (!Soft && !Tests.All.ContainsKey(name))
            Unknown.Add(tokens.Fault($"there is no test named '{name}'"));
        var arguments = CallArguments.None;
        var current = tokens.Current;
        if (current.Is("("))
            arguments = ParseArguments();
        else if ((current.Kind is TokenKind.Name or TokenKind.Text or TokenKind.Integer or TokenKind.Float
            || current.Is("[") || current.Is("{"))
            && current is not { Kind: TokenKind.Name, Value: "else" or "or" or "and" })
        {
            if (current.IsName("is"))
                throw tokens.Fault("tests cannot be chained with 'is'");
            arguments = new CallArguments([ParsePostfix(ParsePrimary())], [], null, null);
        }
        var test = new Test(at, name, arguments);
        return negated ? new Unary("not", test) : test;
    }

    private string DottedName()
    {
        var name = tokens.Expect(TokenKind.Name);
        while (tokens.Skip(".")) name += "." + tokens.Expect(TokenKind.Name);
        return name;
    }
}
