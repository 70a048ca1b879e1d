using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace Polymath.Tests.House;

/// <summary>Checks a file's syntax by the rules of style; each fault begins with its line.</summary>
internal sealed class CodeStyle
{
    internal const int Columns = 140;
    internal const int Many = 5;

    private readonly SourceText text;
    private readonly SyntaxNode root;

    public CodeStyle(string code)
    {
        text = SourceText.From(code);
        root = CSharpSyntaxTree.ParseText(text, new CSharpParseOptions(LanguageVersion.Preview)).GetRoot();
    }

    private int LineOf(int place) => text.Lines.GetLineFromPosition(place).LineNumber + 1;

    private bool BeginsLine(SyntaxNode node)
    {
        var line = text.Lines.GetLineFromPosition(node.SpanStart);
        return string.IsNullOrWhiteSpace(text.ToString(TextSpan.FromBounds(line.Start, node.SpanStart)));
    }

    /// <summary>Lines that are too long.</summary>
    public IEnumerable<string> LongLines() => text.Lines.Where(line => line.Span.Length > Columns)
        .Select(line => $"{line.LineNumber + 1}: {line.Span.Length} characters");

    /// <summary>Lists of many parameters or arguments without one line for each.</summary>
    public IEnumerable<string> CrowdedLists() => root.DescendantNodes()
        .Where(node => !node.Ancestors().Any(above => above is InterpolationSyntax))
        .Where(node => Items(node) is { Count: >= Many } items && !items.All(BeginsLine))
        .Select(node => $"{LineOf(node.SpanStart)}: {Items(node).Count} in a list");

    private static IReadOnlyList<SyntaxNode> Items(SyntaxNode node) => node switch
    {
        ParameterListSyntax { Parent: not AnonymousFunctionExpressionSyntax } list => list.Parameters,
        BracketedParameterListSyntax list => list.Parameters,
        ArgumentListSyntax list when !AreWords(list.Arguments) => list.Arguments,
        _ => [],
    };

    // Only literals, or mostly texts, such as the words of a command.
    private static bool AreWords(SeparatedSyntaxList<ArgumentSyntax> arguments) => arguments.All(item => IsLiteral(item.Expression))
        || arguments.Count(item => IsText(item.Expression)) * 2 >= arguments.Count;

    private static bool IsLiteral(ExpressionSyntax value) => value
        is LiteralExpressionSyntax or PrefixUnaryExpressionSyntax { Operand: LiteralExpressionSyntax };

    private static bool IsText(ExpressionSyntax value) => value is InterpolatedStringExpressionSyntax
        || value.IsKind(SyntaxKind.StringLiteralExpression);

    /// <summary>Members of types without an access modifier.</summary>
    public IEnumerable<string> SilentMembers() => root.DescendantNodes().OfType<MemberDeclarationSyntax>()
        .Where(member => member.Parent is ClassDeclarationSyntax or StructDeclarationSyntax or RecordDeclarationSyntax)
        .Where(member => !member.Modifiers.Any(IsAccess) && !IsExempt(member))
        .Select(member => $"{LineOf(member.SpanStart)}: no accessibility");

    /// <summary>Types that do not say who may use them; those within others are members.</summary>
    public IEnumerable<string> SilentTypes() => root.DescendantNodes().OfType<BaseTypeDeclarationSyntax>()
        .Where(type => type.Parent is BaseNamespaceDeclarationSyntax or CompilationUnitSyntax)
        .Where(type => !type.Modifiers.Any(word => IsAccess(word) || word.IsKind(SyntaxKind.FileKeyword)))
        .Select(type => $"{LineOf(type.SpanStart)}: {type.Identifier.Text} has no accessibility");

    private static bool IsAccess(SyntaxToken word) => word.Kind()
        is SyntaxKind.PublicKeyword or SyntaxKind.PrivateKeyword or SyntaxKind.InternalKeyword or SyntaxKind.ProtectedKeyword;

    private static bool IsExempt(MemberDeclarationSyntax member) => member is DestructorDeclarationSyntax
        || member is ConstructorDeclarationSyntax && member.Modifiers.Any(SyntaxKind.StaticKeyword)
        || member.ChildNodes().Any(child => child is ExplicitInterfaceSpecifierSyntax);

    /// <summary>Private fields that are not named like local variables, without a prefix.</summary>
    public IEnumerable<string> OddFields() => root.DescendantNodes().OfType<FieldDeclarationSyntax>()
        .Where(field => field.Modifiers.Any(SyntaxKind.PrivateKeyword) && !field.Modifiers.Any(SyntaxKind.ConstKeyword))
        .SelectMany(field => field.Declaration.Variables
            .Where(name => name.Identifier.Text[0] == '_'
                || !field.Modifiers.Any(SyntaxKind.StaticKeyword) && !char.IsLower(name.Identifier.Text.TrimStart('@')[0])))
        .Select(name => $"{LineOf(name.SpanStart)}: {name.Identifier.Text}");

    /// <summary>Members that are too long, without the attributes above them; a table of values is data.</summary>
    public IEnumerable<string> LongMembers(int most) => root.DescendantNodes().OfType<MemberDeclarationSyntax>()
        .Where(member => member is BaseMethodDeclarationSyntax or BasePropertyDeclarationSyntax)
        .Where(member => member is not PropertyDeclarationSyntax { Initializer: not null })
        .Where(member => Lines(member) > most)
        .Select(member => $"{LineOf(member.SpanStart)}: {Lines(member)} lines");

    private int Lines(MemberDeclarationSyntax member)
    {
        var first = member.AttributeLists.Count > 0 ? member.AttributeLists.Last().GetLastToken().GetNextToken() : member.GetFirstToken();
        return LineOf(member.Span.End) - LineOf(first.SpanStart) + 1;
    }

    /// <summary>Statements with a nested ?: operator.</summary>
    public IEnumerable<string> NestedChoices() => root.DescendantNodes().OfType<ConditionalExpressionSyntax>()
        .Where(IsWithinAnother)
        .Select(choice => $"{LineOf(choice.SpanStart)}: {choice.ToString().Split('\n')[0]}");

    private static bool IsWithinAnother(ConditionalExpressionSyntax choice) => choice.Ancestors()
        .TakeWhile(node => node is not (StatementSyntax or MemberDeclarationSyntax or AnonymousFunctionExpressionSyntax))
        .Any(node => node is ConditionalExpressionSyntax);
}
