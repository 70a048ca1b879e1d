using Polymath.Recipes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>
/// The shipped templates for models without one, by name: files <c>Named/NAME.jinja</c>, with the model's own words marked.
/// </summary>
public static class NamedTemplates
{
    private const string Prefix = "Polymath.Text.Named.";

    /// <summary>The names, in order.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. typeof(NamedTemplates).Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
        .Select(name => name[Prefix.Length..^".jinja".Length])
        .Order(StringComparer.Ordinal)];

    // Without these a template's marks would be read as letters, and the model has never seen them so.
    private static readonly Dictionary<string, string[]> needs = new(StringComparer.Ordinal)
    {
        ["chatglm"] = ["[gMASK]", "<sop>", "<eop>"],
        ["chatglm2"] = ["[gMASK]", "sop", "</s>"],
        ["chatglm3"] = ["[gMASK]", "sop", "</s>", "<|user|>", "<|assistant|>"],
        ["glm4"] = ["[gMASK]", "<sop>", "<|user|>", "<|assistant|>"],
    };

    /// <summary>The special tokens that a template cannot do without; none where its marks may be plain text.</summary>
    /// <param name="name">The template's name.</param>
    public static IReadOnlyList<string> Needs(string name) => needs.GetValueOrDefault(name) ?? [];

    /// <summary>Refuses a template whose marks a tokenizer does not have.</summary>
    /// <param name="name">The template's name.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">A mark is not there.</exception>
    internal static void Require(string name, Tokenizer tokenizer)
    {
        bool Fits(string template) => Needs(template).All(tokenizer.SpecialTokens.ContainsKey);
        if (Fits(name)) return;
        var missing = Needs(name).Where(token => !tokenizer.SpecialTokens.ContainsKey(token));
        var other = needs.Keys.Reverse().FirstOrDefault(Fits) is { } fitting ? $"Choose {fitting}, which fits these tokens" : "Choose "
            + "another (polymath template list)";
        throw new InputException($"The template {name} is made of special tokens that this model's tokenizer does not have: "
            + $"{string.Join(", ", missing)}. {other}, or leave chat.template (--template) out for the model's own.");
    }

    /// <summary>The template of a name.</summary>
    /// <param name="name">The name.</param>
    /// <param name="own">The names that the model itself has, for the message; null for none.</param>
    /// <exception cref="InputException">There is none of that name.</exception>
    public static JinjaTemplate Find(string name, IEnumerable<string>? own = null)
    {
        var others = own?.ToList() is { Count: > 0 } names ? $" The model's own are {string.Join(", ", names)}." : "";
        using var stream = typeof(NamedTemplates).Assembly.GetManifestResourceStream($"{Prefix}{name}.jinja")
            ?? throw new InputException($"There is no template named '{name}'. Shipped ones are {string.Join(", ", Names)}.{others} Or "
                + "name a file that ends in .jinja.");
        using var reader = new StreamReader(stream);
        return JinjaTemplate.Parse(reader.ReadToEnd(), $"the template {name}");
    }

    /// <summary>The template in a file.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="InputException">It cannot be read, or is not a template.</exception>
    public static JinjaTemplate FromFile(string file)
    {
        try
        {
            return JinjaTemplate.Parse(File.ReadAllText(file), file);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"The chat template {file} cannot be read: {fault.Message} Correct the path.", fault);
        }
    }
}
