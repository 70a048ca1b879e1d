using Polymath.Recipes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>
/// The templates that models without one can be given, by name: data in <c>Named/NAME.jinja</c>, with the model's own words marked.
/// </summary>
public static class NamedTemplates
{
    private const string Prefix = "Polymath.Text.Named.";

    /// <summary>The names, in order.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. typeof(NamedTemplates).Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
        .Select(name => name[Prefix.Length..^".jinja".Length])
        .Order(StringComparer.Ordinal)];

    /// <summary>The template of a name.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="InputException">There is none of that name.</exception>
    public static JinjaTemplate Find(string name)
    {
        using var stream = typeof(NamedTemplates).Assembly.GetManifestResourceStream($"{Prefix}{name}.jinja")
            ?? throw new InputException($"There is no template named '{name}'. Named templates are {string.Join(", ", Names)}.");
        using var reader = new StreamReader(stream);
        return JinjaTemplate.Parse(reader.ReadToEnd(), $"the template {name}");
    }
}
