using System.Text;

namespace Polymath.Recipes;

/// <summary>Settings as a recipe writes them. They are read where it is known what they are settings of.</summary>
public sealed class WrittenSettings : IEquatable<WrittenSettings>
{
    internal WrittenSettings(MappingNode node) => Node = node;

    /// <summary>The mapping.</summary>
    internal MappingNode Node { get; }

    /// <summary>Whether two are written alike.</summary>
    /// <param name="other">The other settings.</param>
    public bool Equals(WrittenSettings? other) => other is not null && ToString() == other.ToString();

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as WrittenSettings);

    /// <inheritdoc/>
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Flow(new StringBuilder(), Node).ToString();

    private static StringBuilder Flow(StringBuilder text, Node node)
    {
        switch (node)
        {
            case ScalarNode scalar:
                return text.Append(scalar.Plain ? scalar.Value : $"'{scalar.Value}'");
            case ListNode list:
                text.Append('[');
                foreach (var item in list.Items) Flow(text, item).Append(", ");
                return text.Append(']');
            case MappingNode mapping:
                text.Append('{');
                foreach (var entry in mapping.Entries) Flow(text.Append(entry.Key).Append(": "), entry.Value).Append(", ");
                return text.Append('}');
            default:
                return text;
        }
    }
}
