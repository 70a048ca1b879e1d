using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>What names may look like.</summary>
internal static partial class Names
{
    /// <summary>What to type instead of a name that cannot be a folder's name.</summary>
    public const string Hint = "use letters, digits, '-', '_' and '.', with a letter or digit in front, and not a name that Windows "
        + "reserves (CON, NUL, COM1)";

    /// <summary>
    /// Whether a name can be a folder's name: letters, digits, '-', '_' and '.', with a letter or digit in front, no '.' at the end, and
    /// not a device name of Windows.
    /// </summary>
    public static bool IsFileName(string name) => name.Length <= 100 && Form().IsMatch(name) && !Device().IsMatch(name);

    [GeneratedRegex(@"^[\p{L}\p{Nd}](?:[\p{L}\p{M}\p{Nd}._-]*[\p{L}\p{M}\p{Nd}_-])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Form();

    [GeneratedRegex(@"^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\z)", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex Device();
}
