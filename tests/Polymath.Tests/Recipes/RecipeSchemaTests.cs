using System.Text.Json.Nodes;
using Polymath.Recipes;
using YamlDotNet.RepresentationModel;

namespace Polymath.Tests.Recipes;

[Trait("kind", "unit")]
public sealed class RecipeSchemaTests
{
    private static readonly RecipeBuilder sample = SampleRecipes.Sample;
    private static readonly JsonObject Schema = JsonNode.Parse(RecipeSchema.Write())!.AsObject();

    [Fact]
    public void The_schema_says_what_the_records_say()
    {
        Assert.Equal("https://json-schema.org/draft/2020-12/schema", (string?)Schema["$schema"]);
        Assert.Equal(["name", "model", "data", "stages"], Schema["required"]!.AsArray().Select(key => (string)key!));
        Assert.False((bool)Schema["additionalProperties"]!);
        Assert.Equal(
            "The run's name; the run folder is runs/NAME unless another folder is given. Letters, digits, '-', '_' and '.'.",
            (string?)Schema["properties"]!["name"]!["description"]);
        var lora = Schema["$defs"]!["LoraMethod"]!;
        Assert.Equal("lora", (string?)lora["properties"]!["kind"]!["const"]);
        Assert.Equal(
            (8, 1, 65536),
            (
                (int)lora["properties"]!["r"]!["default"]!,
                (int)lora["properties"]!["r"]!["minimum"]!,
                (int)lora["properties"]!["r"]!["maximum"]!));
        Assert.Equal(["kind"], lora["required"]!.AsArray().Select(key => (string)key!));
        Assert.Equal("cosine", (string?)Schema["$defs"]!["ScheduleSpec"]!["properties"]!["kind"]!["default"]);
        Assert.Contains(
            "linear: The learning rate falls linearly.",
            (string?)Schema["$defs"]!["ScheduleSpec"]!["properties"]!["kind"]!["description"]);
        Assert.Equal(
            ["cosine", "linear", "constant", "wsd", "inverseSqrt", "polynomial", "restarts"],
            Schema["$defs"]!["ScheduleSpec"]!["properties"]!["kind"]!["enum"]!.AsArray().Select(key => (string)key!));
        var (usual, other) = (Schema["$defs"]!["AdamwSpec"]!, Schema["$defs"]!["LionSpec"]!);
        Assert.Equal("adamw", (string?)usual["properties"]!["kind"]!["default"]);
        Assert.Equal(["rate"], usual["required"]!.AsArray().Select(key => (string)key!));
        Assert.Equal(["kind", "rate"], other["required"]!.AsArray().Select(key => (string)key!));
        Assert.Equal(6, Schema["$defs"]!["StageSpec"]!["oneOf"]!.AsArray().Count);
        Assert.Contains("label", Schema["$defs"]!["StageSpec.task"]!["required"]!.AsArray().Select(key => (string)key!));
    }

    [Fact]
    public void Every_setting_has_a_description_and_every_reference_a_definition()
    {
        foreach (var (name, definition) in Schema["$defs"]!.AsObject())
        {
            foreach (var (key, property) in definition!["properties"]?.AsObject() ?? [])
                Assert.True(property!["const"] is not null || property["description"] is not null, $"{name}.{key}");
        }
        var text = Schema.ToJsonString();
        foreach (var reference in System.Text.RegularExpressions.Regex.Matches(text, "#/\\$defs/([A-Za-z0-9.]+)")
            .Select(match => match.Groups[1].Value))
            Assert.NotNull(Schema["$defs"]![reference]);
    }

    [Fact]
    public void Recipes_that_read_are_accepted()
    {
        Assert.Equal([], Wrong(Schema, Json(File.ReadAllText(SampleRecipes.Tang))));
        Assert.Equal([], Wrong(Schema, Json(SampleRecipes.Whole)));
        Assert.Equal([], Wrong(Schema, Json(sample.With("stages.read.steps", "null").With("stages.read.epochs", "1").Text)));
        Assert.Equal([], Wrong(Schema, Json(SampleRecipes.Read(SampleRecipes.Whole).Resolved)));
        Assert.Equal([], Wrong(Schema, Json(sample.With("rounds", "3").Text)));
        Assert.Equal([], Wrong(Schema, Json(sample.With("stages.read.optimizer", "{kind: muon, rate: 0.02, nsSteps: 6}").Text)));
    }

    [Theory]
    [InlineData("model.layers", "0")]
    [InlineData("model.layers", "two")]
    [InlineData("stages.tell.method.train.kind", "full")]
    [InlineData("stages.read.label", "x")]
    [InlineData("stages.read.optimizer", "{}")]
    [InlineData("stages.read.optimizer", "{kind: lion, rate: 1, momentum: 0.9}")]
    [InlineData("stages.read.schedule.kind", "spiral")]
    [InlineData("rewards.tones.positions", "[]")]
    [InlineData("rounds", "0")]
    public void Recipes_with_a_wrong_setting_are_refused(string path, string value) =>
        Assert.NotEmpty(Wrong(Schema, Json(sample.With(path, value).Text)));

    [Fact]
    public void Recipes_with_a_mistyped_key_are_refused() =>
        Assert.NotEmpty(Wrong(Schema, Json(sample.Renamed("model.layers", "layer").Text)));

    private static JsonNode? Json(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        return Json(stream.Documents[0].RootNode);
    }

    private static JsonNode? Json(YamlNode node) => node switch
    {
        YamlMappingNode mapping =>
            new JsonObject(mapping.Children.Select(pair => KeyValuePair.Create(((YamlScalarNode)pair.Key).Value!, Json(pair.Value)))),
        YamlSequenceNode list => new JsonArray([.. list.Children.Select(Json)]),
        YamlScalarNode { Style: YamlDotNet.Core.ScalarStyle.Plain, Value: "true" or "false" } truth =>
            JsonValue.Create(truth.Value == "true"),
        YamlScalarNode { Style: YamlDotNet.Core.ScalarStyle.Plain, Value: "null" } => null,
        YamlScalarNode { Style: YamlDotNet.Core.ScalarStyle.Plain } plain when double.TryParse(plain.Value, out var number) =>
            JsonValue.Create(number),
        _ => JsonValue.Create(((YamlScalarNode)node).Value),
    };

    /// <summary>A validator that knows the words the schema uses, and no others.</summary>
    private static List<string> Wrong(JsonObject schema, JsonNode? value) =>
        [.. schema.SelectMany(word => Wrong(schema, word.Key, word.Value!, value))];

    private static IEnumerable<string> Wrong(JsonObject schema, string word, JsonNode rule, JsonNode? value)
    {
        var members = value as JsonObject;
        var items = value as JsonArray;
        var number = value is JsonValue single && single.TryGetValue<double>(out var read) ? read : (double?)null;
        return word switch
        {
            "$schema" or "title" or "description" or "default" or "format" or "$defs" => [],
            "$ref" => Wrong(Schema["$defs"]![((string)rule!).Split('/')[^1]]!.AsObject(), value),
            "oneOf" => rule.AsArray().Count(one => Wrong(one!.AsObject(), value).Count == 0) == 1
                ? []
                : [$"not one of {rule.AsArray().Count}: {value?.ToJsonString()}"],
            "const" => (string?)rule == value?.ToString() ? [] : [$"{value} is not {rule}"],
            "enum" => rule.AsArray().Any(one => (string)one! == value?.ToString()) ? [] : [$"{value} is none of {rule}"],
            "type" =>
                (rule as JsonArray ?? [rule.DeepClone()]).Any(type => IsOf((string)type!, value, number)) ? [] : [$"{value} is no {rule}"],
            "minimum" => number < (double)rule ? [$"{value} < {rule}"] : [],
            "maximum" => number > (double)rule ? [$"{value} > {rule}"] : [],
            "minItems" => items?.Count < (int)rule ? ["too few items"] : [],
            "minProperties" => members?.Count < (int)rule ? ["too few members"] : [],
            "items" => items?.SelectMany(item => Wrong(rule.AsObject(), item)) ?? [],
            "required" =>
                members is null ? [] : rule.AsArray().Where(key => !members.ContainsKey((string)key!)).Select(key => $"{key} is missing"),
            "properties" =>
                members?.Where(pair => rule[pair.Key] is not null).SelectMany(pair => Wrong(rule[pair.Key]!.AsObject(), pair.Value)) ?? [],
            "propertyNames" => members?.SelectMany(pair => Wrong(rule.AsObject(), JsonValue.Create(pair.Key))) ?? [],
            "additionalProperties" when rule is JsonObject each => members?.SelectMany(pair => Wrong(each, pair.Value)) ?? [],
            "additionalProperties" =>
                members?.Where(pair => schema["properties"]?[pair.Key] is null).Select(pair => $"unknown {pair.Key}") ?? [],
            _ => throw new NotSupportedException(word),
        };
    }

    private static bool IsOf(string type, JsonNode? value, double? number) => type switch
    {
        "object" => value is JsonObject,
        "array" => value is JsonArray,
        "null" => value is null,
        "number" => number is not null,
        "integer" => number is { } some && some == Math.Truncate(some),
        "boolean" => value is JsonValue truth && truth.TryGetValue<bool>(out _),
        _ => value is JsonValue text && text.TryGetValue<string>(out _),
    };
}
