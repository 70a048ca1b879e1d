namespace Polymath.Text.Templates.Jinja;

/// <summary>An expression.</summary>
internal abstract record Expression;

/// <summary>A literal value.</summary>
internal sealed record Constant(object Value) : Expression;

/// <summary>A variable.</summary>
internal sealed record Variable(string Name) : Expression;

/// <summary>A tuple, a list, or texts joined by <c>~</c>.</summary>
internal sealed record Items(char Kind, IReadOnlyList<Expression> Parts) : Expression;

/// <summary>A dictionary.</summary>
internal sealed record Pairs(IReadOnlyList<(Expression Key, Expression Value)> Entries) : Expression;

/// <summary><c>a if test else b</c>.</summary>
internal sealed record Choice(Expression Test, Expression Yes, Expression? No) : Expression;

/// <summary>An operation on two numbers, texts or lists.</summary>
internal sealed record Binary(string Sign, Expression Left, Expression Right) : Expression;

/// <summary><c>and</c> or <c>or</c>: returns one of its sides.</summary>
internal sealed record Logic(bool And, Expression Left, Expression Right) : Expression;

/// <summary><c>not</c>, <c>-</c> or <c>+</c> before a value.</summary>
internal sealed record Unary(string Sign, Expression Operand) : Expression;

/// <summary>Comparisons in a chain.</summary>
internal sealed record Comparison(Expression First, IReadOnlyList<(string Sign, Expression Right)> Rest) : Expression;

/// <summary><c>target.name</c>.</summary>
internal sealed record Member(Expression Target, string Name) : Expression;

/// <summary><c>target[index]</c>.</summary>
internal sealed record Element(Expression Target, Expression Index) : Expression;

/// <summary><c>first:last:step</c> inside brackets.</summary>
internal sealed record Slice(Expression? First, Expression? Last, Expression? Step) : Expression;

/// <summary>The arguments of a call.</summary>
internal sealed record CallArguments(
    IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named, Expression? Star, Expression? StarStar)
{
    /// <summary>No arguments.</summary>
    public static CallArguments None { get; } = new([], [], null, null);
}

/// <summary>A call.</summary>
internal sealed record Call(Expression Target, CallArguments Arguments) : Expression;

/// <summary>A filter on a value, or on the text of a block when there is no target.</summary>
internal sealed record Filter(Expression? Target, string Name, CallArguments Arguments) : Expression;

/// <summary>A test of a value.</summary>
internal sealed record Test(Expression Target, string Name, CallArguments Arguments) : Expression;

/// <summary>A statement.</summary>
internal abstract record Statement(int Line);

/// <summary>Literal text.</summary>
internal sealed record Data(int Line, string Text) : Statement(Line);

/// <summary>A value that is written.</summary>
internal sealed record Output(int Line, Expression Value) : Statement(Line);

/// <summary>Branches, each with its test; the last may have none.</summary>
internal sealed record If(int Line, IReadOnlyList<(Expression? Test, IReadOnlyList<Statement> Body)> Branches) : Statement(Line);

/// <summary>A loop.</summary>
internal sealed record For(
    int Line,
    Target Target,
    Expression Items,
    Expression? Filter,
    bool Recursive,
    IReadOnlyList<Statement> Body,
    IReadOnlyList<Statement> Else) : Statement(Line);

/// <summary>An assignment.</summary>
internal sealed record Set(int Line, Target Target, Expression Value) : Statement(Line);

/// <summary>An assignment of a block's text.</summary>
internal sealed record SetBlock(int Line, Target Target, Filter? Filter, IReadOnlyList<Statement> Body) : Statement(Line);

/// <summary>A parameter of a macro.</summary>
internal sealed record Parameter(string Name, Expression? Default);

/// <summary>A macro's definition.</summary>
internal sealed record Macro(int Line, string Name, IReadOnlyList<Parameter> Parameters, IReadOnlyList<Statement> Body) : Statement(Line)
{
    /// <summary>Whether the body uses surplus arguments.</summary>
    public bool Varargs { get; init; }

    /// <summary>Whether the body uses surplus named arguments.</summary>
    public bool Kwargs { get; init; }

    /// <summary>Whether the body uses its caller.</summary>
    public bool Caller { get; init; }
}

/// <summary>A call whose macro may request the block's text.</summary>
internal sealed record CallBlock(int Line, Call Call, Macro Body) : Statement(Line);

/// <summary>A block whose text goes through a filter.</summary>
internal sealed record FilterBlock(int Line, Filter Filter, IReadOnlyList<Statement> Body) : Statement(Line);

/// <summary>A block with variables of its own.</summary>
internal sealed record With(int Line, IReadOnlyList<(Target Target, Expression Value)> Assignments, IReadOnlyList<Statement> Body)
    : Statement(Line);

/// <summary>A named block; <c>{% generation %}</c> has no name: its text is the model's own.</summary>
internal sealed record Block(int Line, string? Name, IReadOnlyList<Statement> Body) : Statement(Line);

/// <summary><c>break</c> or <c>continue</c>.</summary>
internal sealed record Leave(int Line, bool Break) : Statement(Line);

/// <summary>A statement that needs other templates.</summary>
internal sealed record Foreign(int Line, string Tag) : Statement(Line);

/// <summary>The target of an assignment.</summary>
internal abstract record Target;

/// <summary>A variable.</summary>
internal sealed record NameTarget(string Name) : Target;

/// <summary>Several variables for the items of a value.</summary>
internal sealed record TupleTarget(IReadOnlyList<Target> Parts) : Target;

/// <summary>A variable of a namespace.</summary>
internal sealed record NamespaceTarget(string Name, string Attribute) : Target;
