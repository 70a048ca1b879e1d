using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>The recipe's rules for reading a source's rows, applied before their shape is read.</summary>
/// <param name="Fields">The places of the shape's own columns in the file, by name.</param>
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

    /// <summary>Whether a name is ignored.</summary>
    /// <param name="name">The name; case does not matter.</param>
    internal bool Ignores(string name) => Ignored?.Contains(name, StringComparer.OrdinalIgnoreCase) == true;

    /// <summary>Whether a role, a key or a type of content is ignored inside messages; <c>messages.NAME</c> spares a column NAME.</summary>
    /// <param name="name">The name; case does not matter.</param>
    internal bool IgnoresInside(string name) => Ignores(name) || Ignores($"{ShapeFields.Messages}.{name}");

    /// <summary>The key that a message has for a part of it, such as <c>role</c>; null when the recipe does not name it.</summary>
    /// <param name="part">The part.</param>
    internal string? MessageKey(string part) => Fields?.GetValueOrDefault($"{ShapeFields.Messages}.{part}")?.Path;
}
