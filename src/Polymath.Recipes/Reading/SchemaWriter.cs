using System.Text.Json.Nodes;

namespace Polymath.Recipes;

/// <summary>Turns the shapes of the settings records into JSON schemas; each record and family becomes one definition.</summary>
internal sealed class SchemaWriter(Documentation documentation)
{
    private readonly SortedDictionary<string, JsonObject?> definitions = new(StringComparer.Ordinal);

    /// <summary>The definitions that the schemas written so far refer to.</summary>
    public JsonObject Definitions() => new(definitions.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));

    /// <summary>The schema of a record's mapping. With a case, the mapping also has the case's keys and the key that selects it.</summary>
    public JsonObject Record(Type type, CaseAttribute? selected = null, CaseAttribute? flatCase = null)
    {
        var (properties, required) = (new JsonObject(), new JsonArray());
        if (selected is { Value: not null })
            Select(selected, properties, required);
        foreach (var setting in Shape.SettingsOf(type))
        {
            if (!setting.Flat)
            {
                Add(setting, properties, required);
                continue;
            }
            Select(flatCase!, properties, required);
            foreach (var inner in Shape.SettingsOf(flatCase!.Type))
                Add(inner, properties, required);
        }
        var schema = Described(flatCase is null ? documentation.Of(type) : documentation.Of(flatCase.Type));
        schema["type"] = "object";
        schema["properties"] = properties;
        if (required.Count > 0)
            schema["required"] = required;
        schema["additionalProperties"] = false;
        return schema;
    }

    private static void Select(CaseAttribute selected, JsonObject properties, JsonArray required)
    {
        properties[selected.Key] = new JsonObject { ["const"] = selected.Value };
        if (selected.IsDefault)
            properties[selected.Key]!["default"] = selected.Value;
        else
            required.Add((JsonNode)selected.Key);
    }

    private void Add(Setting setting, JsonObject properties, JsonArray required)
    {
        var schema = Value(setting.Type, setting);
        if (setting.Nullable)
            schema = OrNull(schema);
        if (!setting.Required && setting.Default is { } value)
            schema["default"] = Default(value);
        if (documentation.Of(setting) is { } text)
            schema["description"] = setting.Type.IsEnum && documentation.OfChoices(setting.Type) is { } choices
                ? $"{text} {choices}"
                : text;
        properties[setting.Key] = schema;
        if (setting.Required)
            required.Add((JsonNode)setting.Key);
    }

    private JsonObject Value(Type type, Setting? setting)
    {
        if (Shape.ItemOf(type) is { } item)
        {
            var list = new JsonObject { ["type"] = "array", ["items"] = Value(item, setting) };
            if (setting is { Required: true })
                list["minItems"] = 1;
            return OneOf(list, Value(item, setting));
        }
        if (Shape.ValueOf(type) is { } value)
        {
            var named = new JsonObject { ["type"] = "object", ["additionalProperties"] = Value(value, setting) };
            if (setting is { Required: true })
                named["minProperties"] = 1;
            return named;
        }
        if (type == typeof(WrittenSettings))
            return new JsonObject { ["type"] = "object" };
        return Shape.IsScalar(type) ? Scalar(type, setting) : Reference(type);
    }

    private static JsonObject Scalar(Type type, Setting? setting)
    {
        if (type.IsEnum)
            return new JsonObject { ["enum"] = new JsonArray([.. Shape.ChoicesOf(type).Select(choice => (JsonNode)choice)]) };
        var schema = new JsonObject
        {
            ["type"] = Type.GetTypeCode(type) switch
            {
                TypeCode.String => "string",
                TypeCode.Boolean => "boolean",
                TypeCode.Int32 => "integer",
                _ => "number",
            },
        };
        if (type == typeof(string) && setting?.Meaning is Meaning.Pattern)
            schema["format"] = "regex";
        if (type == typeof(string) && setting?.Meaning is Meaning.Family)
            schema["enum"] = new JsonArray([.. FamilySpec.Names.Select(name => (JsonNode)name)]);
        if (type == typeof(bool) || type == typeof(string) || setting?.Bounds is not { } bounds)
            return schema;
        schema["minimum"] = Number(bounds.Least);
        if (bounds.Most < double.MaxValue)
            schema["maximum"] = Number(bounds.Most);
        return schema;
    }

    private static JsonNode Default(object value) => value switch
    {
        bool truth => truth,
        int whole => whole,
        double number => Number(number),
        string text => text,
        _ => Shape.Camel(value.ToString()!),
    };

    private static JsonValue Number(double value) =>
        Math.Abs(value) < 1e15 && value == Math.Truncate(value) ? JsonValue.Create((long)value) : JsonValue.Create(value);

    private JsonObject Reference(Type type)
    {
        if (definitions.TryAdd(type.Name, null))
            definitions[type.Name] = Definition(type);
        return new JsonObject { ["$ref"] = $"#/$defs/{type.Name}" };
    }

    private JsonObject Definition(Type type)
    {
        if (Shape.CasesOf(type) is { Count: > 0 } cases)
            return With(OneOf([.. cases.Select(one => Case(one.Type.Name, () => Record(one.Type, one)))]), documentation.Of(type));
        if (Shape.SettingsOf(type).FirstOrDefault(setting => setting.Flat) is { } flat)
        {
            var written = Shape.CasesOf(flat.Type).Select(one => Case($"{type.Name}.{one.Value}", () => Record(type, flatCase: one)));
            return With(OneOf([.. written]), documentation.Of(type));
        }
        if (Shape.ShorthandOf(type) is not { } key)
            return Record(type);
        var setting = Shape.SettingsOf(type).Single(candidate => candidate.Key == key);
        return OneOf(Scalar(setting.Type, setting), Record(type));
    }

    private JsonObject Case(string name, Func<JsonObject> write)
    {
        if (definitions.TryAdd(name, null))
            definitions[name] = write();
        return new JsonObject { ["$ref"] = $"#/$defs/{name}" };
    }

    private static JsonObject OneOf(params JsonObject[] schemas) => new() { ["oneOf"] = new JsonArray([.. schemas]) };

    private static JsonObject OrNull(JsonObject schema)
    {
        if (schema["type"] is JsonValue type)
            schema["type"] = new JsonArray(type.DeepClone(), "null");
        else if (schema["oneOf"] is JsonArray choices)
            choices.Add((JsonNode)new JsonObject { ["type"] = "null" });
        else
            return OneOf(schema, new JsonObject { ["type"] = "null" });
        return schema;
    }

    private static JsonObject Described(string? text) => With([], text);

    private static JsonObject With(JsonObject schema, string? text)
    {
        if (text is not null)
            schema["description"] = text;
        return schema;
    }
}
