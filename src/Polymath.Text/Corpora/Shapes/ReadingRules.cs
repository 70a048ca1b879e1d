using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>What a recipe says of a source's rows before a shape is made of them.</summary>
/// <param name="Fields">Where the shape's own columns lie in the file, by their names.</param>
/// <param name="Roles">The role that each speaker's name stands for.</param>
/// <param name="Ignored">Columns, keys of messages, roles and kinds of content that are left out.</param>
public sealed record ReadingRules(
    IReadOnlyDictionary<string, FieldSpec>? Fields = null,
    IReadOnlyDictionary<string, string>? Roles = null,
    IReadOnlyList<string>? Ignored = null)
{
    /// <summary>The rules of a source.</summary>
    /// <param name="spec">The source.</param>
    public static ReadingRules Of(FilesSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return new ReadingRules(spec.Shape is null ? null : spec.Fields, spec.Roles, spec.Ignore);
    }

    /// <summary>Whether something is left out by name.</summary>
    /// <param name="name">The name; capitals do not matter.</param>
    internal bool Ignores(string name) => Ignored?.Contains(name, StringComparer.OrdinalIgnoreCase) == true;

    /// <summary>The key that a message has for a part of it, such as <c>role</c>; null where the recipe does not say.</summary>
    /// <param name="part">The part.</param>
    internal string? MessageKey(string part) => Fields?.GetValueOrDefault($"{ShapeFields.Messages}.{part}")?.Path;
}
