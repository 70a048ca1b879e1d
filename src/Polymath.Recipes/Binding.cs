namespace Polymath.Recipes;

/// <summary>
/// Declares one case of a closed family of settings: the case is chosen when the mapping holds <paramref name="key"/> (with
/// <paramref name="value"/>, where one is given).
/// </summary>
/// <param name="key">The key that selects the case, such as <c>kind</c>.</param>
/// <param name="value">The value the key must have; null when the key's presence is enough.</param>
/// <param name="type">The record that holds the case's settings.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
public sealed class CaseAttribute(string key, string? value, Type type) : Attribute
{
    /// <summary>The key that selects the case.</summary>
    public string Key { get; } = key;

    /// <summary>The value the key must have, or null for any.</summary>
    public string? Value { get; } = value;

    /// <summary>The record that holds the case's settings.</summary>
    public Type Type { get; } = type;

    /// <summary>Whether the case is meant where the key is left out; one of a family at most.</summary>
    public bool IsDefault { get; init; }
}

/// <summary>The settings of this parameter are written in the mapping of the record that holds it, not in one of their own.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class FlattenAttribute : Attribute;

/// <summary>A record that may be written as a single scalar, which then sets the named parameter.</summary>
/// <param name="parameter">The parameter the scalar sets.</param>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class ShorthandAttribute(string parameter) : Attribute
{
    /// <summary>The parameter the scalar sets.</summary>
    public string Parameter { get; } = parameter;
}

/// <summary>The smallest and largest value a number may have, both included.</summary>
/// <param name="least">The smallest value.</param>
/// <param name="most">The largest value.</param>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class BoundsAttribute(double least, double most = double.MaxValue) : Attribute
{
    /// <summary>The smallest value allowed.</summary>
    public double Least { get; } = least;

    /// <summary>The largest value allowed.</summary>
    public double Most { get; } = most;
}

/// <summary>What a string stands for, so that it can be checked in its place.</summary>
public enum Meaning
{
    /// <summary>A name declared under <c>data</c>.</summary>
    DataName,

    /// <summary>A name declared under <c>tables</c>.</summary>
    TableName,

    /// <summary>A name declared under <c>rewards</c>.</summary>
    RewardName,

    /// <summary>A name declared under <c>abilities</c>.</summary>
    AbilityName,

    /// <summary>The name of a stage.</summary>
    StageName,

    /// <summary>A .NET regular expression.</summary>
    Pattern,

    /// <summary>A path, glob or package address of files; a local one must exist.</summary>
    Files,

    /// <summary>An existing folder.</summary>
    Folder,

    /// <summary>The name of a model family.</summary>
    Family,

    /// <summary>A chat template: a shipped one, a file that ends in <c>.jinja</c>, or one of the model's own.</summary>
    Template,
}

/// <summary>States what a string parameter (or each item of a list, or each key of a dictionary of numbers) stands for.</summary>
/// <param name="meaning">What the string stands for.</param>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class MeansAttribute(Meaning meaning) : Attribute
{
    /// <summary>What the string stands for.</summary>
    public Meaning Meaning { get; } = meaning;
}
