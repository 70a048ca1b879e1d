using System.Reflection;
using System.Text.Json;

namespace Polymath.Recipes;

/// <summary>One parameter of a settings record, as recipes see it.</summary>
/// <param name="Key">The key in the recipe.</param>
/// <param name="Parameter">The parameter.</param>
/// <param name="Type">The type of its value, without the mark for null.</param>
/// <param name="Nullable">Whether there may be no value.</param>
internal sealed record Setting(string Key, ParameterInfo Parameter, Type Type, bool Nullable)
{
    /// <summary>Whether a recipe must give the setting.</summary>
    public bool Required => !Parameter.HasDefaultValue;

    /// <summary>The value when the recipe gives none.</summary>
    public object? Default => Parameter.DefaultValue is { } value && Type.IsEnum ? Enum.ToObject(Type, value) : Parameter.DefaultValue;

    /// <summary>The limits of a number.</summary>
    public BoundsAttribute? Bounds { get; } = Parameter.GetCustomAttribute<BoundsAttribute>();

    /// <summary>What a text refers to.</summary>
    public Meaning? Meaning { get; } = Parameter.GetCustomAttribute<MeansAttribute>()?.Meaning;

    /// <summary>Whether the setting's own keys are written in the holder's mapping.</summary>
    public bool Flat { get; } = Parameter.IsDefined(typeof(FlattenAttribute));
}

/// <summary>Reads the shape of the settings records. Only this class distinguishes records, lists, dictionaries and families.</summary>
internal static class Shape
{
    /// <summary>The settings of a record, in order.</summary>
    public static IReadOnlyList<Setting> SettingsOf(Type record)
    {
        var nullability = new NullabilityInfoContext();
        return [.. Constructor(Written(record)).GetParameters().Select(parameter => new Setting(
            Camel(parameter.Name!),
            parameter,
            System.Nullable.GetUnderlyingType(parameter.ParameterType) ?? parameter.ParameterType,
            nullability.Create(parameter).WriteState == NullabilityState.Nullable))];
    }

    /// <summary>A record of such settings.</summary>
    /// <param name="record">The type.</param>
    /// <param name="settings">The values, in the order of <see cref="SettingsOf"/>.</param>
    public static object Make(Type record, object?[] settings)
    {
        var written = Constructor(Written(record)).Invoke(settings);
        return Written(record) == record ? written : Constructor(record).Invoke([written]);
    }

    // A record that is made of its base has the base's settings.
    private static Type Written(Type record) =>
        Constructor(record).GetParameters() is [{ ParameterType: var only }] && only == record.BaseType ? only : record;

    private static ConstructorInfo Constructor(Type record) =>
        record.GetConstructors().OrderByDescending(constructor => constructor.GetParameters().Length).First();

    /// <summary>The cases of a closed family; none for other types.</summary>
    public static IReadOnlyList<CaseAttribute> CasesOf(Type type) => [.. type.GetCustomAttributes<CaseAttribute>(inherit: false)];

    /// <summary>The case that is meant where a mapping selects none; null where one must be selected.</summary>
    public static CaseAttribute? DefaultOf(Type family) => CasesOf(family).FirstOrDefault(one => one.IsDefault);

    /// <summary>The key that a single value sets, where a record may be written so.</summary>
    public static string? ShorthandOf(Type record) =>
        record.GetCustomAttribute<ShorthandAttribute>() is { } found ? Camel(found.Parameter) : null;

    /// <summary>The type of a list's items; null when the type is not a list.</summary>
    public static Type? ItemOf(Type type) => Argument(type, typeof(IReadOnlyList<>), 0);

    /// <summary>The type of a dictionary's values; null when the type is not a dictionary.</summary>
    public static Type? ValueOf(Type type) => Argument(type, typeof(IReadOnlyDictionary<,>), 1);

    /// <summary>Whether the type is a single value: text, a number, true or false, or a choice.</summary>
    public static bool IsScalar(Type type) =>
        type == typeof(string) || type == typeof(bool) || type == typeof(int) || type == typeof(double) || type.IsEnum;

    /// <summary>A name as recipes write it.</summary>
    public static string Camel(string name) => JsonNamingPolicy.CamelCase.ConvertName(name);

    /// <summary>The choices of an enumeration, as recipes write them.</summary>
    public static IReadOnlyList<string> ChoicesOf(Type type) => [.. Enum.GetNames(type).Select(Camel)];

    /// <summary>The keys that a family's case has in a mapping.</summary>
    public static IReadOnlyList<string> KeysOf(CaseAttribute chosen)
    {
        var keys = KeysOf(chosen.Type);
        return chosen.Value is null ? keys : [chosen.Key, .. keys];
    }

    /// <summary>The keys that a record or any case of a family has in a mapping.</summary>
    public static IReadOnlyList<string> KeysOf(Type type) => CasesOf(type) is { Count: > 0 } cases
        ? [.. cases.SelectMany(KeysOf).Distinct()]
        : [.. SettingsOf(type).SelectMany(setting => setting.Flat ? KeysOf(setting.Type) : [setting.Key])];

    /// <summary>What to write for a setting, such as <c>rate: NUMBER</c>.</summary>
    public static string Sample(Setting setting) => setting.Flat ? Sample(setting.Type) : $"{setting.Key}: {Sample(setting.Type)}";

    /// <summary>What to write for a value of a type, such as <c>NUMBER</c>.</summary>
    public static string Sample(Type type) => type switch
    {
        _ when type == typeof(string) => "TEXT",
        _ when type == typeof(bool) => "true",
        _ when type == typeof(int) => "WHOLE-NUMBER",
        _ when type == typeof(double) => "NUMBER",
        _ when type == typeof(WrittenSettings) => "{KEY: VALUE}",
        { IsEnum: true } => string.Join("|", ChoicesOf(type)),
        _ when ItemOf(type) is { } item => $"[{Sample(item)}]",
        _ when ValueOf(type) is { } value => $"{{NAME: {Sample(value)}}}",
        _ when DefaultOf(type) is { } usual => Sample(usual.Type),
        _ when CasesOf(type) is { Count: > 0 } cases =>
            $"{{{cases[0].Key}: {string.Join('|', cases.Where(one => one.Key == cases[0].Key).Select(one => one.Value ?? "TEXT"))}}}",
        _ => $"{{{string.Join(", ", SettingsOf(type).Where(setting => setting.Required && IsScalar(setting.Type)).Select(Sample))}}}",
    };

    private static Type? Argument(Type type, Type generic, int index) =>
        type.IsGenericType && type.GetGenericTypeDefinition() == generic ? type.GetGenericArguments()[index] : null;
}
